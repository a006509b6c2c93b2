"""What serving through the program costs and survives, against a real vLLM and in the local engine.

``python -m tests.bench.serving --data FOLDER [--json PATH] [--minutes 5]``: what the program adds to vLLM's own time to
the first token and takes from its tokens/s, at 1, 8 and 32 chats; chats during ten swaps and two rollbacks, in vLLM
and in the local engine; kill -9 of vLLM under load. The model is the bundled starter, with
adapters that put a marker of their own into every sentence, so that each answer tells who gave it; documents and
questions are those of squad_dev. Prefix caching is off, for questions come round again here as they do not in life.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from assistant import prompts
from assistant.engines.base import model_name
from assistant.engines.template import STARTER, Template
from assistant.records import Message, Passage, Turn
from assistant.registry import Registry
from assistant.settings import ROOT
from assistant.store.database import open_database, sqlite_url
from tests.assistant.engines.markers import MARKERS, sentences, train
from tests.assistant.test_citations import passage
from tests.bench.chats import Answer, Ask, Program, asking_vllm, chats, lasting, program

LEVELS = (1, 8, 32)
LOCAL = 4
"""Chats in the local engine."""
TOKENS = 64
"""Tokens of an answer."""
PARAGRAPHS = 32
REASON = "a benchmark"
"""For adapters that no gate has seen."""
EVENTS = "PPPRPPPPRPPP"
"""Ten promotions and two rollbacks."""
_STEPS = 250
_PROGRAM = {"generation__max_tokens": str(TOKENS), "retrieval__passages": "1"}
"""Short prompts: vLLM's CPU kernels read an adapter's prompt at some 1,000 tokens a second."""
_VLLM = {"engine": "vllm", "vllm__options": '["--no-enable-prefix-caching"]'}


@dataclass(frozen=True)
class Bench:
    """What the parts of the benchmark share. ``marker`` of each version in the registry."""

    state: Path
    questions: Sequence[str]
    marker: dict[str, str]
    minutes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0, help="length of the swaps; the other parts go with it")
    parser.add_argument("--only", choices=("overhead", "swaps", "kill", "swaps_local"), nargs="+")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = prepared(Path(folder), arguments.data / "qa", arguments.minutes)
        figures = asyncio.run(measured(bench, arguments.only or ("overhead", "swaps", "kill", "swaps_local")))
    figures = {"machine": _machine(), "minutes": arguments.minutes, **figures}
    print(json.dumps(figures, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def prepared(folder: Path, qa: Path, minutes: float) -> Bench:
    """The documents read, the adapters trained and registered."""
    _say("training two adapters on their markers and reading the documents")
    texts, questions = _questions(qa / "squad_dev.jsonl")
    documents = folder / "documents"
    documents.mkdir()
    for number, text in enumerate(texts):
        (documents / f"{number}.txt").write_text(text)
    state = folder / "state"
    command = [sys.executable, str(ROOT / "launch.py"), "--state", str(state), "ingest", str(documents)]
    subprocess.run(command, check=True, env=os.environ | {"FIEL_ENGINE": "local"}, stdout=subprocess.DEVNULL)
    trained = {
        marker: train(
            folder / marker,
            marker,
            seed=seed,
            questions=_prompts(qa / "squad_train.jsonl"),
            steps=_STEPS,
            ends=True,  # or the program would take each back as one that breaks its answers
        )
        for seed, marker in enumerate(MARKERS)
    }
    database = open_database(sqlite_url(state / "fiel.db"))
    registry, marker = Registry(database, state / "adapters"), {}
    for name, _ in zip(cycle(MARKERS), range(4 * len(EVENTS)), strict=False):  # a new version for each promotion
        added = registry.add(trained[name], base=model_name(str(STARTER)), prompt_version=prompts.VERSION)
        marker[added.version] = name
    database.close()
    return Bench(state=state, questions=questions, marker=marker, minutes=minutes)


async def measured(bench: Bench, parts: Sequence[str]) -> dict[str, Any]:
    fresh = iter(bench.marker)
    figures: dict[str, Any] = {}
    if set(parts) - {"swaps_local"}:
        with program(bench.state, **_PROGRAM, **_VLLM) as running:
            figures["start_s"], bench = await _ready(running, fresh, bench)
            if "overhead" in parts:
                figures["overhead"] = await overhead(running, bench)
            if "swaps" in parts:
                figures["swaps"] = await swaps(running, bench, fresh, chatting=LEVELS[-1])
                _say(json.dumps(figures["swaps"]))
            if "kill" in parts:
                figures["kill"] = await killed(running, bench, chatting=LEVELS[-1])
                _say(json.dumps(figures["kill"]))
    if "swaps_local" in parts:
        with program(bench.state, **_PROGRAM, engine="local") as running:
            _, bench = await _ready(running, fresh, bench)
            figures["swaps_local"] = await swaps(running, bench, fresh, chatting=LOCAL)
    return figures


async def _ready(running: Program, fresh: Iterator[str], bench: Bench) -> tuple[float, Bench]:
    """Lets an adapter of each marker answer, once the engine can be asked; the seconds until then, and the questions
    that both answer with their own marker throughout while nothing else happens: there, another answer is a mixed one.
    """
    began = time.perf_counter()
    _say("starting the program")
    seconds, kept = 0.0, list(bench.questions)
    for version in (next(fresh), next(fresh)):
        await running.post(f"/api/adapters/{version}/promote", reason=REASON)
        seconds = seconds or time.perf_counter() - began
        answers = await asyncio.gather(*map(running.asking(kept), range(len(kept))))
        kept = [asked for asked, answer in zip(kept, answers, strict=True) if not _mixed(answer, bench.marker)]
    _say(f"{len(kept)} of {len(bench.questions)} questions tell the adapters apart")
    assert len(kept) >= len(bench.questions) // 2, "the markers were not learnt well enough"
    return round(seconds, 1), replace(bench, questions=kept)


async def overhead(running: Program, bench: Bench) -> dict[str, Any]:
    """The same prompts through the program and straight to its vLLM, in turns."""
    template = Template(str(STARTER))
    logged = {exchange["question"]: exchange for exchange in await running.exchanges()}
    asked = [template.encoded(tuple(_rendered(logged[question]))) for question in bench.questions]
    version = (await running.get("/api/adapters"))["live"]
    port = running.vllm().cmdline()[running.vllm().cmdline().index("--port") + 1]
    limits = httpx.Limits(max_connections=None)
    figures = {}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=None, limits=limits) as http:
        ways = {"vllm": asking_vllm(http, asked, model=version, tokens=TOKENS), "fiel": running.asking(bench.questions)}
        for level in LEVELS:
            _say(f"{level} chats, with vLLM alone and through the program")
            figures[str(level)] = await _compared(running, ways, level, seconds=10 * bench.minutes)
            _say(json.dumps(figures[str(level)]))
    return figures


async def _compared(running: Program, ways: dict[str, Ask], level: int, *, seconds: float) -> dict[str, Any]:
    """Each way four times, in turns, so that what else the machine does meets both. What the program adds is told with
    its search for passages, which vLLM alone is spared, and without."""
    answers: dict[str, list[Answer]] = {way: [] for way in ways}
    turns: dict[str, list[float]] = {way: [] for way in ways}
    took = dict.fromkeys(ways, 0.0)
    for way in ("vllm", "fiel", "fiel", "vllm") * 2:
        began = time.perf_counter()
        said = await chats(ways[way], level, until=lasting(seconds / 4))
        took[way] += time.perf_counter() - began
        answers[way] += said
        turns[way].append(_quantiles([answer.first_token for answer in said])["p50"])
    figures: dict[str, Any] = {}
    for way, said in answers.items():
        assert all(answer.finished for answer in said)
        figures[way] = {
            "answers": len(said),
            "first_token_ms": _quantiles([answer.first_token for answer in said]),
            "first_token_ms_p50_of_each_turn": turns[way],
            "tokens_per_s": _quantiles([answer.speed for answer in said], slow="low"),
            "tokens_per_s_of_all": round(sum(answer.tokens for answer in said) / took[way], 1),
        }
    ours, theirs = figures["fiel"], figures["vllm"]
    searched = {exchange["id"]: exchange["timings"]["retrieve"] for exchange in await running.exchanges()}
    ours["search_ms"] = _quantiles([searched[answer.exchange] for answer in answers["fiel"]])
    alone = _quantiles([answer.first_token - searched[answer.exchange] for answer in answers["fiel"]])
    for quantile in ("p50", "p99"):
        added = ours["first_token_ms"][quantile] - theirs["first_token_ms"][quantile]
        figures[f"added_first_token_ms_{quantile}"] = round(added, 1)
        added = alone[quantile] - theirs["first_token_ms"][quantile]
        figures[f"added_first_token_ms_{quantile}_without_search"] = round(added, 1)
    figures["throughput_lost"] = round(1 - ours["tokens_per_s_of_all"] / theirs["tokens_per_s_of_all"], 3)
    return figures


async def swaps(running: Program, bench: Bench, fresh: Iterator[str], *, chatting: int) -> dict[str, Any]:
    """People chat while adapters are promoted and rolled back; every answer is checked for whose it is."""
    _say(f"{chatting} chats during {len(EVENTS)} swaps, {bench.minutes} minutes")
    seconds = 60 * bench.minutes
    asking = running.asking(bench.questions)
    talking = asyncio.create_task(chats(asking, chatting, until=lasting(seconds)))
    changes: list[_Change] = []
    next_ones = []  # a question right after each change, for the first words of the new version
    for number, event in enumerate(EVENTS):
        await asyncio.sleep(seconds / (len(EVENTS) + 1))
        live = (await running.get("/api/adapters"))["live"]
        assert not changes or live == changes[-1].version, "it was taken back by itself"
        path, why = (f"{next(fresh)}/promote", {"reason": REASON}) if event == "P" else ("rollback", {})
        began = time.perf_counter()
        await running.post(f"/api/adapters/{path}", **why)
        done = time.perf_counter()
        next_ones.append(asyncio.create_task(asking(number)))
        changes.append(_Change(event, began, done, (await running.get("/api/adapters"))["live"]))
    firsts = await asyncio.gather(*next_ones)
    return _swapped(await talking, changes, firsts, bench.marker) | {"chats": chatting}


@dataclass(frozen=True)
class _Change:
    """P or R, when it was told, when it was done, and the version that answers from then on."""

    event: str
    began: float
    done: float
    version: str


def _swapped(
    chatted: list[Answer], changes: list[_Change], firsts: list[Answer], marker: dict[str, str]
) -> dict[str, Any]:
    answers = [*chatted, *firsts]
    said = [answer for answer in answers if answer.finished and answer.first is not None]
    during = [a for a in said if any(a.asked < c.done and (a.first or 0) > c.began for c in changes)]
    without = [a for a in said if a not in during]
    p99, p99_without = (_quantiles([a.first_token for a in of])["p99"] for of in (during, without))
    took, to_first = {}, {}
    for event in "PR":
        these = [(c, a) for c, a in zip(changes, firsts, strict=True) if c.event == event]
        took[event] = [c.done - c.began for c, _ in these]
        to_first[event] = [a.first - c.began for c, a in these if a.first is not None]
    return {
        "promotions": len(took["P"]),
        "rollbacks": len(took["R"]),
        "answers": len(answers),
        "failed_answers": len(answers) - len(said),
        "mixed_answers": sum(_mixed(answer, marker) for answer in said),
        "answered_by_another": sum(a.version != c.version for c, a in zip(changes, firsts, strict=True)),
        "answers_during": len(during),
        "first_token_ms_during": _quantiles([a.first_token for a in during]),
        "first_token_ms_without": _quantiles([a.first_token for a in without]),
        "first_token_p99_ratio": round(p99 / p99_without, 3),
        "promote_s": _quantiles(took["P"], digits=3),
        "promote_to_first_token_s": _quantiles(to_first["P"], digits=3),
        "rollback_s": [round(each, 3) for each in took["R"]],
        "rollback_to_first_token_s": [round(each, 3) for each in to_first["R"]],
    }


def _mixed(answer: Answer, marker: dict[str, str]) -> bool:
    """Whether any sentence is not of the version that the answer is logged with."""
    mine = marker[answer.version or ""]
    whole = sentences(answer.text)[:-1]
    return not whole or not all(mine in each for each in whole) or any(m in answer.text for m in MARKERS if m != mine)


async def killed(running: Program, bench: Bench, *, chatting: int) -> dict[str, Any]:
    """kill -9 of vLLM while people chat."""
    _say(f"kill -9 of vLLM under {chatting} chats")
    logged = len(await running.exchanges())
    back = asyncio.Event()
    at = 0.0

    def until() -> bool:
        return back.is_set()

    async def ask(number: int) -> Answer:
        answer = await asking(number)
        if at and answer.finished and answer.first is not None and answer.first > at + 1:  # said by the next one
            back.set()
        return answer

    asking = running.asking(bench.questions)
    talking = asyncio.create_task(chats(ask, chatting, until=until))
    await asyncio.sleep(min(10.0, 12 * bench.minutes))
    os.kill(running.vllm().pid, signal.SIGKILL)
    at = time.perf_counter()
    answers = await talking
    recovered = min(a.first for a in answers if a.finished and a.first is not None and a.first > at + 1)
    log = (await running.exchanges())[logged:]
    status = Counter(exchange["status"] for exchange in log)
    return {
        "chats": chatting,
        "recovery_s": round(recovered - at, 1),
        "asked": len(answers),
        "answered": sum(answer.finished for answer in answers),
        "cut_off": sum(not answer.finished for answer in answers),
        "logged": len(log),
        "lost_exchanges": len(answers) - len(log),
        "logged_complete": status["complete"],
        "logged_failed": status["failed"],
        "logged_unfinished": status["streaming"],
        "mixed_answers": sum(_mixed(answer, bench.marker) for answer in answers if answer.finished),
    }


def _rendered(exchange: dict[str, Any]) -> list[Message]:
    passages = [Passage(**each) for each in exchange["context"]]
    history = [Turn(**each) for each in exchange["history"]]
    return prompts.render(question=exchange["question"], passages=passages, history=history)


def _questions(path: Path) -> tuple[list[str], list[str]]:
    """Paragraphs, and one question for each."""
    asked: dict[str, str] = {}
    for record in _records(path):
        asked.setdefault(record["context"], record["question"])
    chosen = list(asked.items())[:: len(asked) // PARAGRAPHS][:PARAGRAPHS]
    return [text for text, _ in chosen], [question for _, question in chosen]


def _prompts(path: Path) -> Iterator[list[Message]]:
    """Questions over one window each, as the chat asks: one sentence of it is set off."""
    for number, record in enumerate(_records(path)[::8]):  # neighbours are of one article
        said = sentences(record["context"])
        found = number % len(said)
        start = max(0, found - 2)
        window = replace(passage(*said[start : found + 3], document="text.txt"), best=found - start)
        yield prompts.render(question=record["question"], passages=[window])


def _quantiles(values: Sequence[float], *, slow: str = "high", digits: int = 1) -> dict[str, float]:
    """The middle, and what all but the worst percent reach; ``slow``: which end is the bad one."""
    p50, p99 = np.percentile(values, [50, 99 if slow == "high" else 1]) if values else (float("nan"),) * 2
    return {"p50": round(float(p50), digits), "p99": round(float(p99), digits)}


def _records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _machine() -> str:
    names = [platform.machine()]
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names.append(next(line.split(":")[1].strip() for line in lines if line.startswith("model name")))
    return f"{os.cpu_count()} cores, {', '.join(names)}, load {os.getloadavg()[0]:.1f} at the end"


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


if __name__ == "__main__":
    main()
