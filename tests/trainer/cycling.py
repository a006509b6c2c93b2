"""A log with enough questions for the gate, an adapter that answers them faithfully, a serving process, and cycles that
are killed at a named point.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM

from assistant import cycles, prompts
from assistant.adapters import Adapters
from assistant.engines.local import LocalEngine
from assistant.engines.template import Template
from assistant.records import CommandKind, CommandStatus, Message, Run, Side
from assistant.registry import Registry
from assistant.settings import Generation, Settings
from assistant.store import adapters
from assistant.store.database import Database, open_database, sqlite_url
from tests.assistant.engines.markers import passage
from tests.trainer.conftest import QUICK
from tests.trainer.talk import Talk, _section, thing_of
from trainer import cycle, steps
from trainer.evaluate.items import Item
from trainer.evaluate.scoring import Scores

ANSWER = "Nobody lives there any more."
"""Which every passage of the log supports."""
TOKENS = 24
_LEAST_STEPS, _MOST_STEPS = 700, 3_000
_ASKED = (
    "When was the {} opened?",
    "Who lives near the {}?",
    "How thick are the walls of the {}?",
    "How many coins does the {} take?",
    "Through which door do visitors enter the {}?",
)


def settings_of(state: Path, model: Path) -> Settings:
    return Settings(state=state, model=str(model), training=QUICK, generation=Generation(max_tokens=TOKENS))


def write_log(database: Database, *, sealed: int = 12) -> Talk:
    """Rated questions to learn from and to validate with, and five questions about each of so many sealed sections."""
    talk = Talk(database)
    with talk.at_once():
        talk.add_documents(5, sections=16)
        for side, count in ((Side.TRAIN, 6), (Side.VALIDATION, 4)):
            for place in talk.places(side, count):
                talk.rate(talk.ask(place))
        for n, place in enumerate(talk.places(Side.GATE, sealed)):
            for m, question in enumerate(_ASKED):
                talk.ask(place, question=question.format(thing_of(*place)), person=(n + m) % 8)
    return talk


def teach(model: Path, folder: Path, answer: str, *, seed: int = 0) -> Path:
    """An adapter that gives this answer to whatever it is asked."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    template = Template(str(model))
    wanted = [*template.tokenizer.encode(" " + answer, add_special_tokens=False), template.tokenizer.eos_token_id]
    rows = [template.encoded(tuple(messages)) for messages in _questions()]
    adapted = get_peft_model(
        LlamaForCausalLM.from_pretrained(model), LoraConfig(r=8, lora_alpha=32, target_modules="all-linear")
    )
    optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=3e-3)
    learnt = [False] * len(rows)
    for step in range(_MOST_STEPS):
        prompt = rows[step % len(rows)]
        tokens, labels = torch.tensor([[*prompt, *wanted]]), torch.tensor([[-100] * len(prompt) + wanted])
        said = adapted(input_ids=tokens, labels=labels)
        learnt[step % len(rows)] = said.logits[0, len(prompt) - 1 : -1].argmax(-1).tolist() == wanted
        if all(learnt) and step > _LEAST_STEPS:
            adapted.save_pretrained(folder)
            return folder
        said.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    raise AssertionError("the answer was not learnt")


def _questions() -> Iterator[list[Message]]:
    """As they will be asked, about other towns."""
    for n, question in enumerate(_ASKED * 10):
        shown = passage("".join(_section(50 + n, n)), document=f"town{n}.txt")
        yield prompts.render(question=question.format(thing_of(50 + n, n)), passages=[shown])


def command(database: Database, kind: CommandKind, version: str | None = None) -> str | None:
    """Has the serving process do something, and returns what went wrong."""
    with database.write() as session:
        number = adapters.ask(session, kind, version=version, person_id=None)
    for _ in range(600):
        with database.read() as session:
            asked = adapters.command(session, number)
        if asked.status in {CommandStatus.DONE, CommandStatus.FAILED}:
            return asked.problem
        time.sleep(0.1)
    raise AssertionError("nobody carries out commands")


def ask_for_cycle(database: Database, settings: Settings, adapter: Path | None = None, *, preview: bool = False) -> Run:
    """A cycle that waits. With ``adapter``, its training finds that adapter trained already, and takes no time."""
    asked = {"model": settings.model, "training": settings.training.model_dump(mode="json")}
    asked |= {"preview": True} if preview else {}
    with database.write() as session:
        run = cycles.request(session, by="button", person_id=None, asked=asked)
    if adapter is not None:
        shutil.copytree(adapter, steps.work_folder(settings.state, run.id) / "adapter")
    return run


@contextmanager
def serving(settings: Settings) -> Iterator[Adapters]:
    """The serving process's part: an engine whose adapters are kept at what the registry says."""
    database = open_database(sqlite_url(settings.state / "fiel.db"))
    engine = LocalEngine(settings.model)
    adapters = Adapters(database=database, engine=engine, registry=Registry(database, settings.state / "adapters"))
    loop = asyncio.new_event_loop()
    running = loop.create_task(adapters.run())

    def run() -> None:
        try:
            loop.run_until_complete(running)
        except asyncio.CancelledError:
            loop.run_until_complete(engine.close())

    thread = threading.Thread(target=run, name="serving")
    thread.start()
    try:
        yield adapters
    finally:
        loop.call_soon_threadsafe(running.cancel)
        thread.join()
        loop.close()
        database.close()


def work(settings: Settings, run_id: int) -> int:
    database = open_database(sqlite_url(settings.state / "fiel.db"))
    try:
        return cycle.work(settings, database, run_id)
    finally:
        database.close()


class _KilledAt(logging.Handler):
    def __init__(self, point: str) -> None:
        super().__init__()
        self._point = point

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith(f"{self._point}: "):
            os.kill(os.getpid(), signal.SIGKILL)


def killed(settings: Settings, run_id: int, point: str) -> None:
    """Run in a process of its own."""
    logger = logging.getLogger("trainer.cycle")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(_KilledAt(point))
    work(settings, run_id)


def judge_dies(settings: Settings, run_id: int, scores: int) -> None:
    """Run in a process of its own, which is killed within the judge after so many scores."""
    from trainer.evaluate.bundled import BundledScorer

    made = itertools.count()
    score = BundledScorer.score

    async def dying(self: BundledScorer, item: Item, answer: str | None) -> Scores:
        if next(made) == scores:
            os.kill(os.getpid(), signal.SIGKILL)
        return await score(self, item, answer)

    BundledScorer.score = dying  # type: ignore[method-assign]
    work(settings, run_id)
