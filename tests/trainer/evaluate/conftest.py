"""A server that speaks OpenAI's chat API and answers Ragas's prompts, well or badly, over real connections."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

ANSWERS: dict[str, dict[str, Any]] = {
    "StatementGeneratorOutput": {"statements": ["The lamp burned oil.", "The tower is blue."]},
    "NLIStatementOutput": {
        "statements": [
            {"statement": "The lamp burned oil.", "reason": "It says so.", "verdict": 1},
            {"statement": "The tower is blue.", "reason": "It is white.", "verdict": 0},
        ]
    },
    "AnswerRelevanceOutput": {"question": "What did the lamp burn?", "noncommittal": 0},
    "ContextRelevanceOutput": {"rating": 2},
    "ContextPrecisionOutput": {"reason": "It helps.", "verdict": 1},
}

_SECOND = "As a specially designed expert to assess the relevance score"


class LanguageModel(ThreadingHTTPServer):
    """``fault``: None, ``prose``, ``limited`` (429), ``broken`` (500), ``slow``, ``few verdicts``, ``bad rating``,
    ``bad verdict``, ``no question``, or one of the first four behind ``second: ``, for Ragas's second prompt about the
    context's relevance alone.

    ``faults`` requests behave so (None: all of them); then it answers well. ``asked`` counts the requests.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fault: str | None = None
        self.faults: int | None = None
        self.asked = 0
        self.released = threading.Event()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def behaviour(self, prompt: str) -> str | None:
        with self.lock:
            self.asked += 1
            if self.fault is None or self.faults == 0:
                return None
            if self.fault.startswith("second: ") and _SECOND not in prompt:
                return None
            if self.faults is not None:
                self.faults -= 1
            return self.fault.removeprefix("second: ")


class _Handler(BaseHTTPRequestHandler):
    server: LanguageModel

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        behaviour = self.server.behaviour(str(request["messages"]))
        if behaviour == "slow":
            self.server.released.wait(30)
        if behaviour in ("limited", "broken"):
            self._send(429 if behaviour == "limited" else 500, {"error": {"message": behaviour, "type": behaviour}})
            return
        name = request["response_format"]["json_schema"]["name"]
        answer = dict(ANSWERS[name])
        if behaviour == "few verdicts" and name == "NLIStatementOutput":
            answer["statements"] = answer["statements"][:1]
        if behaviour == "bad rating" and name == "ContextRelevanceOutput":
            answer["rating"] = 7
        if behaviour == "bad verdict" and name == "ContextPrecisionOutput":
            answer["verdict"] = 2
        if behaviour == "bad verdict" and name == "NLIStatementOutput":
            answer["statements"] = [statement | {"verdict": -1} for statement in answer["statements"]]
        if behaviour == "no question" and name == "AnswerRelevanceOutput":
            answer["question"] = " "
        content = "Sure! I would say it is supported." if behaviour == "prose" else json.dumps(answer)
        message = {"role": "assistant", "content": content}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        self._send(
            200,
            {"id": "x", "object": "chat.completion", "created": 0, "model": request["model"], "choices": [choice],
             "usage": usage},
        )  # fmt: skip

    def _send(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("retry-after-ms", "10")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def language_model() -> Iterator[LanguageModel]:
    server = LanguageModel()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()
    thread.join()
