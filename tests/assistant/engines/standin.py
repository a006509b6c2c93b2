"""Stands in for the vLLM environment where a real one cannot be had: on a GPU, or dying again and again within seconds.

It speaks vLLM's routes for health, models and adapters over a real port; it answers no question. Called with
``--refusing CODE BODY``, it answers so to every adapter but the one of zeros.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

_SERVER = """
import argparse, json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

print(sys.argv, flush=True)
parser = argparse.ArgumentParser()
for name in ("--port", "--model", "--served-model-name"):
    parser.add_argument(name)
parser.add_argument("--refusing", nargs=2)
options, _ = parser.parse_known_args()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path not in ("/health", "/v1/models"):
            return self.say({}, 404)
        model = {"id": options.served_model_name, "root": options.model, "parent": None, "max_model_len": 2048}
        self.say({"data": [model]})

    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        refused = options.refusing and not told["lora_name"].endswith("-unchanged")
        self.say(json.loads(options.refusing[1]), int(options.refusing[0])) if refused else self.say({})

    def say(self, body, status=200):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


ThreadingHTTPServer(("127.0.0.1", int(options.port)), Handler).serve_forever()
"""


def environment(folder: Path) -> Path:
    """Makes ``folder`` what ``make vllm`` would have made; it prints how it was called to the log."""
    package = folder / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    for each in (package, *package.parents[:2]):
        (each / "__init__.py").touch()
    (package / "api_server.py").write_text(_SERVER)
    python = folder / "bin" / "python"
    python.parent.mkdir()
    here, there = shlex.quote(str(folder)), shlex.quote(sys.executable)
    python.write_text(f'#!/bin/sh\nPYTHONPATH={here} exec {there} "$@"\n')
    python.chmod(0o755)
    return folder


def gpu(folder: Path, *, free: int, total: int) -> Path:
    """A folder for ``PATH`` whose nvidia-smi tells of one GPU with that many MiB."""
    folder.mkdir()
    smi = folder / "nvidia-smi"
    smi.write_text(f"#!/bin/sh\necho {free}, {total}\n")
    smi.chmod(0o755)
    return folder
