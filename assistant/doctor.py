"""Looks at everything that can be wrong with an installation, and says what to do about it. It changes nothing."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx

from assistant import state
from assistant.documents.originals import content_hash
from assistant.engines import plain
from assistant.entailment import FOLDER as JUDGES
from assistant.errors import FielError
from assistant.registry import Registry
from assistant.settings import Settings
from assistant.store import adapters, turns
from assistant.store.database import open_database, sqlite_url

_LITTLE_DISK, _LITTLE_MEMORY = 2e9, 1e9  # bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do if it is not well."""

    what: str
    well: bool
    told: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """All findings, one after the other; those of the store need a state folder."""
    yield _model(settings)
    yield _judges()
    yield _disk(settings.state)
    yield _memory()
    yield _engine(settings)
    yield _server(settings.state)
    path = settings.state / "fiel.db"
    if not path.exists():
        yield Finding("store", True, f"{settings.state} is empty: nothing was added yet")
        return
    yield _store(path)
    for look in (_documents, _adapters, _champions, _runs):
        yield look(settings.state)


def _model(settings: Settings) -> Finding:
    folder = Path(settings.model)
    if folder.is_absolute() and not (folder / "config.json").is_file():
        return Finding("model", False, f"{folder} holds no model", "Set 'model' to the folder or hub name of one.")
    return Finding("model", True, settings.model)


def _judges() -> Finding:
    missing = [name for name in ("a", "b") if not (JUDGES / name / "model.safetensors").is_file()]
    if missing:
        remedy = "Check the program's files out again: nothing can be gated without them."
        return Finding("judges", False, f"missing: {', '.join(missing)}", remedy)
    return Finding("judges", True, str(JUDGES))


def _disk(folder: Path) -> Finding:
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    return Finding("disk", free > _LITTLE_DISK, f"{free / 1e9:.1f} GB free", f"Free some space on {place}.")


def _memory() -> Finding:
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    free = float(lines["MemAvailable"].split()[0]) * 1024
    return Finding("memory", free > _LITTLE_MEMORY, f"{free / 1e9:.1f} GB free", "End what takes it, or add some.")


def _engine(settings: Settings) -> Finding:
    if settings.vllm_url is not None and settings.engine in {"auto", "vllm"}:
        away = [
            url for url in map(str.strip, settings.vllm_url.split(",")) if not _answers(f"{url.rstrip('/')}/health")
        ]
        told = f"vLLM at {settings.vllm_url}" if not away else f"no answer from {', '.join(away)}"
        return Finding("engine", not away, told, "Start it there, or correct 'vllm_url'.")
    if settings.engine == "vllm":
        python = settings.vllm.python
        return Finding("engine", python.exists(), f"vLLM in {settings.vllm.folder}", "Install it: make vllm")
    return Finding("engine", True, settings.engine)


def _server(folder: Path) -> Finding:
    running = state.running_server(folder)
    if running is None:
        return Finding("server", True, "not running")
    told = f"{running.address}, process {running.pid}"
    remedy = f"It does not answer: look into {folder / 'logs' / 'fiel.log'}, restart it."
    return Finding("server", _answers(f"{running.address}/healthz"), told, remedy)


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=10, trust_env=False).is_success
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


def _store(path: Path) -> Finding:
    """SQLite's own checks; reading, beside whoever writes."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            problems = [row[0] for row in connection.execute("PRAGMA integrity_check(10)") if row[0] != "ok"]
            problems += [f"{row[0]} row {row[1]}" for row in connection.execute("PRAGMA foreign_key_check")]
    except sqlite3.Error as error:
        problems = [str(error)]
    told = "; ".join(problems[:5]) or f"whole, {path.stat().st_size / 1e6:.1f} MB"
    return Finding(
        "store", not problems, told, "Stop the program and put the last backup back: launch.py restore BACKUP"
    )


def _documents(folder: Path) -> Finding:
    rows = _rows(folder, "SELECT name, file, content_hash, status FROM documents")
    lost, changed = [], []
    for name, file, expected, status in rows:
        path = folder / "originals" / str(file)
        if status == "deleting":
            continue
        if not path.exists():
            lost.append(str(name))
        elif content_hash(path) != expected:
            changed.append(str(name))
    failed = sum(status == "failed" for *_, status in rows)
    if lost or changed:
        told = f"originals missing: {', '.join(lost[:5]) or 'none'}; changed: {', '.join(changed[:5]) or 'none'}"
        return Finding("documents", False, told, "Add these files again, or put the last backup back.")
    remedy = "Open the documents panel: each says why, and can be tried again."
    return Finding("documents", not failed, f"{len(rows)}, of which {failed} cannot be read", remedy)


def _adapters(folder: Path) -> Finding:
    database = open_database(sqlite_url(folder / "fiel.db"))
    problems = []
    try:
        registry = Registry(database, folder / "adapters")
        versions = [str(row[0]) for row in _rows(folder, "SELECT version FROM adapters")]
        for version in versions:
            try:
                registry.verify(version)
            except FielError as error:
                problems.append(str(error))
        with database.read() as session:
            bases = {adapters.get(session, version).base for version in versions}
            champions = {base: adapters.champion(session, base) for base in bases}
    finally:
        database.close()
    told = (
        "; ".join(problems) or ", ".join(f"{len(versions)}, {c or 'none'} live" for c in champions.values()) or "none"
    )
    remedy = (
        f"Roll back if it is live (launch.py rollback); {plain.WEIGHTS} of a version comes back with a backup only."
    )
    return Finding("adapters", not problems, told, remedy)


def _champions(folder: Path) -> Finding:
    """Whether people or the judge think clearly worse of what answers now than of what did so before."""
    database = open_database(sqlite_url(folder / "fiel.db"))
    try:
        with database.read() as session:
            bases = sorted({adapter.base for adapter in adapters.every(session)})
            worse = [turn for base in bases for turn in turns.turns(session, base)]
    finally:
        database.close()
    told = "; ".join(
        f"{turn.measure} of {turn.version}: {turn.now:.0%} of {turn.n_now}, before it {turn.before:.0%} of "
        f"{turn.n_before}"
        for turn in worse
    )
    return Finding("answers", not worse, told or "no worse than before", "Look at /training, or: launch.py rollback")


def _runs(folder: Path) -> Finding:
    rows = _rows(folder, "SELECT id, status, problem FROM runs ORDER BY id DESC LIMIT 1")
    if not rows:
        return Finding("training", True, "no run yet")
    number, status, problem = rows[0]
    told = f"run {number}: {status}{f': {problem}' if problem else ''}"
    return Finding("training", status != "failed", told, f"Its log: {folder / 'runs' / str(number) / 'log.txt'}")


def _rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{folder / 'fiel.db'}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def report(settings: Settings, say: Callable[[str], None]) -> int:
    """Says all findings, and returns the exit code: 1 if something is not well."""
    well = True
    for finding in examine(settings):
        say(f"{'ok' if finding.well else 'NOT WELL':<9} {finding.what:<10} {finding.told}")
        if not finding.well:
            well = False
            say(f"{'':<20} {finding.remedy}")
    return 0 if well else 1
