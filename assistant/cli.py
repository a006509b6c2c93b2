"""The commands of the command line, as a client of the HTTP API."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from assistant.errors import FielError

_DESCRIPTION = "Fiel: a chat assistant over your own documents that becomes more faithful to them while it is used."
_EPILOG = "Settings are read from fiel.toml and from FIEL_… variables too; the README lists them."


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command and its options. Ends the process with a usage message when they are wrong."""
    parser = argparse.ArgumentParser(prog="launch.py", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--state", type=Path, metavar="FOLDER", help="folder for all that the program writes")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")

    serve = commands.add_parser("serve", help="start the page and the API (what happens without a command)")
    serve.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", type=int, help="port to listen on (default: 7860, or a free one if that is taken)")

    ingest = commands.add_parser("ingest", help="add files or folders; again: only what is new, changed or gone")
    ingest.add_argument("paths", nargs="+", type=Path, metavar="PATH")

    ask = commands.add_parser("ask", help="ask a question about the documents")
    ask.add_argument("question")
    ask.add_argument("--json", action="store_true", help="print answer, citations and exchange_id as JSON")
    ask.add_argument("--document", type=int, action="append", default=[], metavar="ID", help="ask this document only")

    commands.add_parser("documents", help="list the documents and how far each one is")
    commands.add_parser("status", help="say what runs, where, and how much it holds")
    commands.add_parser("triples", help="print every logged (context, question, answer) as JSON Lines")

    users = commands.add_parser("users", help="make, list and reset the accounts of people").add_subparsers(
        dest="users", required=True, metavar="ACTION"
    )
    users.add_parser("list", help="list everybody who has an account")
    add = users.add_parser("add", help="add a person; prints a link under which they choose a password, once")
    add.add_argument("name")
    add.add_argument("--admin", action="store_true", help="make the person an administrator")
    reset = users.add_parser("reset", help="end a person's password and sessions; prints a link to choose a new one")
    reset.add_argument("name")
    commands.add_parser("adapters", help="list the adapters of the model, and say which one answers")
    promote = commands.add_parser("promote", help="let an adapter answer from now on")
    promote.add_argument("version", metavar="VERSION")
    promote.add_argument("--reason", default="", help="why, if it did not pass the gate")
    backup = commands.add_parser("backup", help="copy all that the program keeps into a new folder within FOLDER")
    backup.add_argument("folder", type=Path, metavar="FOLDER")
    restore = commands.add_parser("restore", help="put a backup back; what is there now is kept beside it")
    restore.add_argument("backup", type=Path, metavar="BACKUP")
    commands.add_parser("doctor", help="look at everything that can be wrong, and say what to do")
    commands.add_parser("rollback", help="let the adapter answer that did so before")
    retrain = commands.add_parser("retrain", help="train an adapter on what people have rated")
    retrain.add_argument("--dry-run", action="store_true", help="say what would be learnt and what it would take")
    retrain.add_argument(
        "--forget",
        action="store_true",
        help="take adapters out that learnt from what was deleted since, and train without that",
    )
    retrain.add_argument(
        "--yes", action="store_true", help="agree to what is sent and what it costs, without being asked"
    )
    parsed = parser.parse_args(arguments)
    parsed.command = parsed.command or "serve"
    if parsed.command == "retrain" and parsed.forget:
        parsed.command = "forget"  # which the server does; training alone needs none
    return parsed


def agreed() -> bool:
    """Asks the person at the terminal; nobody there means no."""
    return sys.stdin.isatty() and input("Send this? [y/N] ").strip().casefold() in {"y", "yes"}


def overrides(arguments: argparse.Namespace) -> dict[str, object]:
    """What the command line says about settings."""
    given = {name: getattr(arguments, name, None) for name in ("state", "host", "port")}
    return {name: value for name, value in given.items() if value is not None}


def run(arguments: argparse.Namespace, http: httpx.Client, *, address: str) -> int:
    """Runs a command other than ``serve`` and returns the exit code; ``address`` is where people reach the program.

    Raises FielError with the server's words.
    """
    try:
        if arguments.command == "users":
            return _users(arguments, http, address)
        return _COMMANDS[arguments.command](arguments, http)
    except httpx.TransportError as error:
        raise FielError(f"The server does not answer: {error}") from error


def _ingest(arguments: argparse.Namespace, http: httpx.Client) -> int:
    failed = False
    for path in arguments.paths:
        with http.stream("POST", "/api/ingest", json={"path": str(path.absolute())}) as response:
            if response.is_error:
                response.read()
                raise FielError(_problem(response))
            for event in map(json.loads, response.iter_lines()):
                if "progress" in event:
                    _show_progress(path, event["progress"])
                elif "error" in event:
                    raise FielError(event["error"]["message"])
                else:
                    failed |= _print_summary(path, event["summary"])
    return 1 if failed else 0


def _show_progress(path: Path, share: float) -> None:
    if sys.stderr.isatty():
        print(f"\r{path}: {share:4.0%}", end="", file=sys.stderr, flush=True)


def _print_summary(path: Path, summary: dict[str, Any]) -> bool:
    """Prints what was done; True if a file could not be read."""
    if sys.stderr.isatty():
        print("\r", end="", file=sys.stderr)
    counts = [f"{summary[name]} {name}" for name in ("new", "changed", "gone", "unchanged", "skipped") if summary[name]]
    print(f"{path}: {', '.join(counts) or 'nothing to do'}")
    for failure in summary["failed"]:
        print(f"  failed: {failure['name']}: {failure['reason']}", file=sys.stderr)
    return bool(summary["failed"])


def _ask(arguments: argparse.Namespace, http: httpx.Client) -> int:
    body = {
        "model": "fiel",
        "messages": [{"role": "user", "content": arguments.question}],
        "document_ids": arguments.document,
    }
    reply = _checked(http.post("/v1/chat/completions", json=body))
    answer = reply["choices"][0]["message"]["content"]
    if arguments.json:
        found = {"answer": answer, "citations": reply["citations"], "exchange_id": reply["exchange_id"]}
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return 0
    print(answer)
    for citation in reply["citations"]:
        page = f", p. {citation['page']}" if citation["page"] is not None else ""
        print(f"\n[{citation['n']}] {citation['document']}{page}\n    {citation['sentence']}")
    return 0


def _checked(response: httpx.Response) -> Any:
    if response.is_error:
        raise FielError(_problem(response))
    return response.json()


def _problem(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered {response.status_code} {response.reason_phrase}"


def _documents(_arguments: argparse.Namespace, http: httpx.Client) -> int:
    for document in _checked(http.get("/api/documents"))["documents"]:
        share = f" {document['progress']:.0%}" if document["status"] == "indexing" else ""
        reason = f": {document['reason']}" if document["reason"] else ""
        print(f"{document['id']:>6}  {document['status']}{share:<5}  {document['name']}{reason}")
    return 0


def _status(_arguments: argparse.Namespace, http: httpx.Client) -> int:
    print(json.dumps(_checked(http.get("/api/status")), ensure_ascii=False, indent=2))
    return 0


def _adapters(_arguments: argparse.Namespace, http: httpx.Client) -> int:
    listed = _checked(http.get("/api/adapters"))
    for adapter in listed["adapters"]:
        marks = [name for name in ("live", "champion") if listed[name] == adapter["version"]]
        if adapter["affected_at"]:
            marks.append(f"affected: examples of it were deleted on {adapter['affected_at'][:10]}")
        print(f"{adapter['version']}  {adapter['created_at'][:16]}  {adapter['origin']}  {' '.join(marks)}".rstrip())
    print(f"{listed['base']}  the base model{'  live' if listed['live'] is None else ''}")
    if listed["problem"]:
        print(listed["problem"], file=sys.stderr)
    return 1 if listed["problem"] else 0


def _promote(arguments: argparse.Namespace, http: httpx.Client) -> int:
    body = {"reason": arguments.reason}
    return _swapped(http.post(f"/api/adapters/{quote(arguments.version, safe='')}/promote", json=body))


def _rollback(_arguments: argparse.Namespace, http: httpx.Client) -> int:
    return _swapped(http.post("/api/adapters/rollback"))


def _forget(_arguments: argparse.Namespace, http: httpx.Client) -> int:
    done = _checked(http.post("/api/training/forget"))
    print(f"Taken out: {', '.join(done['withdrawn'])}. {done['live'] or 'The base model'} answers from now on.")
    print(f"Run {done['run']['id']} trains without what was deleted, as soon as the program runs.")
    return 0


def _swapped(response: httpx.Response) -> int:
    print(f"{_checked(response)['live'] or 'The base model'} answers from now on.")
    return 0


def _backup(arguments: argparse.Namespace, http: httpx.Client) -> int:
    made = _checked(http.post("/api/backup", json={"path": str(arguments.folder.absolute())}))
    print(f"Backed up to {made['path']}. Put it back with: launch.py restore {made['path']}")
    return 0


def _triples(_arguments: argparse.Namespace, http: httpx.Client) -> int:
    with http.stream("GET", "/api/triples") as response:
        if response.is_error:
            response.read()
            raise FielError(_problem(response))
        for line in response.iter_lines():
            sys.stdout.write(line + "\n")
    return 0


def _users(arguments: argparse.Namespace, http: httpx.Client, address: str) -> int:
    people = _checked(http.get("/api/people"))["people"]
    if arguments.users == "list":
        for person in people:
            state = "disabled" if person["disabled"] else "invited" if person["invited"] else "active"
            print(f"{person['id']:>6}  {person['role']:<5}  {state:<8}  {person['name']}")
        return 0
    if arguments.users == "add":
        role = "admin" if arguments.admin else "user"
        made = _checked(http.post("/api/people", json={"name": arguments.name, "role": role}))
    else:
        found = next((person["id"] for person in people if person["name"] == arguments.name), None)
        if found is None:
            raise FielError("There is no such person.")
        made = _checked(http.post(f"/api/people/{found}/reset"))
    print(f"Within three days, {arguments.name} can choose a password under this link, once:\n{address}{made['link']}")
    return 0


_COMMANDS = {
    "ingest": _ingest,
    "ask": _ask,
    "documents": _documents,
    "status": _status,
    "triples": _triples,
    "adapters": _adapters,
    "promote": _promote,
    "rollback": _rollback,
    "backup": _backup,
    "forget": _forget,
}
