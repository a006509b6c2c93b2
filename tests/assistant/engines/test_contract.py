"""What both engines must do alike, on the bundled starter: the local one, and a real vLLM (``make test-vllm``)."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from assistant.engines import plain
from assistant.engines.base import Sampling
from assistant.engines.server import SLOTS
from assistant.engines.template import STARTER
from assistant.entailment import load_judge
from assistant.errors import ContextError, ModelError
from assistant.registry import Registry
from assistant.store.database import Database
from tests.assistant.engines.conftest import Opened
from tests.assistant.engines.markers import MARKERS, SUBJECTS, ask, asked, is_of, registered
from tests.conftest import adapters_of
from tests.trainer.conftest import QUICK, example, write_dataset
from trainer import lora
from trainer.prepare import prepare

QUESTION = asked("lighthouse")


def test_streams_in_pieces_with_usage_at_the_end(opened: Opened) -> None:
    async def run() -> None:
        async with opened() as engine:
            async with aclosing(engine.stream(QUESTION, sampling=Sampling(max_tokens=40))) as stream:
                *pieces, last = [delta async for delta in stream]
            assert len(pieces) > 1  # a busy server sends several tokens at once
            assert all(piece.text for piece in pieces)
            assert last.finish in ("stop", "length")
            assert last.usage is not None
            assert last.usage.prompt_tokens == await engine.count_tokens(QUESTION)
            assert engine.context_tokens == 2048
            assert engine.model.startswith("starter-")

    asyncio.run(run())


def test_an_answer_that_is_left_stops_and_others_go_on(opened: Opened) -> None:
    async def run() -> None:
        async with opened() as engine:
            for _ in range(6):
                async with aclosing(engine.stream(QUESTION, sampling=Sampling(max_tokens=1500))) as stream:
                    await anext(stream)
            task = asyncio.create_task(ask(engine, tokens=1500))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await ask(engine, tokens=8)

    asyncio.run(run())


def test_many_at_once_are_answered_as_each_alone(opened: Opened, marked: dict[str, Path]) -> None:
    async def run() -> None:
        async with opened() as engine:
            await engine.load_adapter("many-1", marked[MARKERS[0]])
            subjects = [f"{subject}{' and mill' * number}" for number, subject in enumerate(SUBJECTS)]
            asking = [asked(subject) for subject in subjects]
            for adapter in (None, "many-1"):
                alone = [await ask(engine, subject=subject, adapter=adapter, tokens=24) for subject in subjects]
                sampling = Sampling(max_tokens=24)
                assert await engine.generate_many(asking, sampling=sampling, adapter=adapter) == alone
            assert await engine.generate_many([], sampling=Sampling(max_tokens=24)) == []
            with pytest.raises(ModelError, match="many-2 is not loaded"):
                await engine.generate_many(asking, sampling=Sampling(max_tokens=24), adapter="many-2")
            with pytest.raises(ContextError, match=r"do not fit the model's 2,048"):
                await engine.generate_many([*asking, asked("mill " * 2000)], sampling=Sampling(max_tokens=24))

    asyncio.run(run())


def test_chats_go_on_beside_many_and_giving_up_stops_them(opened: Opened, marked: dict[str, Path]) -> None:
    async def run() -> None:
        async with opened() as engine:
            await engine.load_adapter("long-1", marked[MARKERS[0]])  # it has learnt no end
            asking = [asked(subject) for subject in SUBJECTS] * 2
            sampling = Sampling(max_tokens=1500)
            many = asyncio.create_task(engine.generate_many(asking, sampling=sampling, adapter="long-1"))
            await asyncio.sleep(0)
            assert await ask(engine, tokens=4)
            assert not many.done()
            many.cancel()
            with pytest.raises(asyncio.CancelledError):
                await many
            assert await ask(engine, tokens=8)

    asyncio.run(run())


def test_what_does_not_fit_is_a_context_error(opened: Opened) -> None:
    async def run() -> None:
        async with opened() as engine:
            with pytest.raises(ContextError, match=r"do not fit the model's 2,048"):
                await ask(engine, tokens=2048)

    asyncio.run(run())


def test_what_the_trainer_makes_is_served(opened: Opened, database: Database, tmp_path: Path) -> None:
    rows = [
        example(n) | {"prompt": [asdict(m) for m in asked(subject)], "completion": "Crimson walls stand here. [1]"}
        for n, subject in enumerate(SUBJECTS[:2])
    ]
    dataset = write_dataset(tmp_path / "dataset", train=rows)
    torch.set_num_threads(1)  # small matrices: more threads wait for each other
    settings = QUICK.model_copy(update={"rank": 16, "alpha": 32, "epochs": 25, "batch": 2, "rslora": True})
    prepared = prepare(dataset, str(STARTER), settings=settings, folder=tmp_path / "made")
    made = lora.train(prepared, tmp_path / "made", settings=settings, seed=0, judge=load_judge("a"), rate=6e-3)
    registry = Registry(database, tmp_path / "adapters")
    version = registry.add(tmp_path / "made", base=made["base"], prompt_version="1", origin="a test").version

    async def run() -> None:
        async with opened() as engine:
            await engine.load_adapter(version, registry.path(version))
            assert (await ask(engine, adapter=version, tokens=24)).strip().startswith("Crimson walls stand here.")
            assert "Crimson" not in await ask(engine, tokens=24)

    asyncio.run(run())


def test_load_switch_unload(opened: Opened, marked: dict[str, Path]) -> None:
    first, second = MARKERS

    async def run() -> None:
        async with opened() as engine:
            with pytest.raises(ModelError, match="first-1 is not loaded"):
                await ask(engine, adapter="first-1")
            await engine.load_adapter("first-1", marked[first])
            await engine.load_adapter("second-1", marked[second])
            assert engine.adapters == {"first-1", "second-1"}
            assert is_of(await ask(engine, adapter="first-1"), first)
            assert is_of(await ask(engine, adapter="second-1"), second)
            assert first not in await ask(engine)
            with pytest.raises(ModelError, match="first-1 is loaded already"):
                await engine.load_adapter("first-1", marked[second])
            async with aclosing(engine.stream(QUESTION, sampling=Sampling(max_tokens=60), adapter="first-1")) as stream:
                text = (await anext(stream)).text
                await engine.unload_adapter("first-1")
                text += "".join([delta.text async for delta in stream])
            assert is_of(text, first), "what streams finishes unharmed"
            with pytest.raises(ModelError, match="first-1 is not loaded"):
                await ask(engine, adapter="first-1")
            with pytest.raises(ModelError, match="first-1 is not loaded"):
                await engine.unload_adapter("first-1")

    asyncio.run(run())


def _changed(source: Path, folder: Path, **options: object) -> Path:
    folder.mkdir()
    (folder / plain.WEIGHTS).write_bytes((source / plain.WEIGHTS).read_bytes())
    config = json.loads((source / plain.CONFIG).read_text()) | options
    (folder / plain.CONFIG).write_text(json.dumps(config))
    return folder


def test_adapters_that_cannot_be_served_are_refused(opened: Opened, marked: dict[str, Path], tmp_path: Path) -> None:
    good = marked[MARKERS[0]]
    damaged = _changed(good, tmp_path / "damaged")
    (damaged / plain.WEIGHTS).write_bytes((good / plain.WEIGHTS).read_bytes()[:-100])
    cases = {
        "holds no": tmp_path / "nowhere",
        "use_dora": _changed(good, tmp_path / "dora", use_dora=True),
        "rank outside": _changed(good, tmp_path / "high", r=64),
        "modules_to_save": _changed(good, tmp_path / "saved", modules_to_save=["lm_head"]),
        "trained for the model": _changed(good, tmp_path / "other", base_model_name_or_path="someone/else-7b"),
        "damaged cannot be loaded|bad-5 cannot be loaded": damaged,
    }

    async def run() -> None:
        async with opened() as engine:
            for number, (reason, folder) in enumerate(cases.items()):
                with pytest.raises(ModelError, match=reason):
                    await engine.load_adapter(f"bad-{number}", folder)
            assert engine.adapters == frozenset()
            assert await ask(engine, tokens=8), "it goes on as before"

    asyncio.run(run())


def test_two_adapters_and_the_base_at_once_never_mix(opened: Opened, marked: dict[str, Path]) -> None:
    async def run() -> None:
        async with opened() as engine:
            # Used once, they fill every slot of vLLM: what has no adapter must not get that of some slot.
            versions = {f"{MARKERS[number % 2]}-{number}": MARKERS[number % 2] for number in range(SLOTS)}
            for version, marker in versions.items():
                await engine.load_adapter(version, marked[marker])
                assert marker in await ask(engine, adapter=version, tokens=8)
            base = await ask(engine)
            asking = [(version, subject) for subject in SUBJECTS for version in (*[*versions][-2:], None)]
            answers = await asyncio.gather(*(ask(engine, adapter=v, subject=s) for v, s in asking))
            for (version, subject), answer in zip(asking, answers, strict=True):
                if version is None:
                    assert not any(marker in answer for marker in MARKERS), answer
                else:
                    assert is_of(answer, versions[version]), (version, subject, answer)
            assert await ask(engine) == base

    asyncio.run(run())


def test_swaps_and_rollbacks_under_load_mix_nothing_and_fail_nothing(
    opened: Opened, marked: dict[str, Path], database: Database, state: Path
) -> None:
    async def run() -> None:
        async with opened() as engine:
            live = adapters_of(database, engine)
            of = registered(Registry(database, state / "adapters"), engine, marked)
            await live.promote(next(iter(of)), person_id=None)
            watching = asyncio.create_task(live.run())
            done = asyncio.Event()

            async def go_on_asking(number: int) -> int:
                answered = 0
                while not done.is_set():
                    with live.answer() as version:
                        answer = await ask(engine, adapter=version, subject=SUBJECTS[number])
                        assert version is not None
                        assert is_of(answer, of[version]), (version, answer)
                    answered += 1
                return answered

            asking = [asyncio.create_task(go_on_asking(number)) for number in range(4)]
            for version in [*reversed(of), *of]:
                await live.promote(version, person_id=None)
                await asyncio.sleep(0)
            await live.rollback(person_id=None)
            done.set()
            assert sum(await asyncio.gather(*asking)) >= 4
            watching.cancel()

    asyncio.run(run())


def test_a_start_brings_it_to_what_the_registry_says(
    opened: Opened, marked: dict[str, Path], database: Database, state: Path
) -> None:
    async def run() -> None:
        async with opened() as engine:
            of = registered(Registry(database, state / "adapters"), engine, marked)
            for version in of:
                await adapters_of(database, engine).promote(version, person_id=None)
        async with opened() as engine:
            live = adapters_of(database, engine)
            await live.ready()
            assert live.live == [*of][-1]
            assert engine.adapters == set(of)
            assert is_of(await ask(engine, adapter=live.live), of[live.live])

    asyncio.run(run())
