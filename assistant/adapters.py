"""Which adapter answers: the serving process keeps its engine at what the registry says, and swaps without a pause.

A swap: load the version under its own name, ask it something through the real engine, make it the champion (one row,
with its audit entry), answer with it from then on, let the answers that stream with another version finish, unload
that one. The champion's predecessor stays loaded, so that a rollback takes no time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress

from assistant import prompts
from assistant.engines.base import Engine, Sampling
from assistant.errors import EngineError, FielError, InputError, ModelError
from assistant.records import Adapter, Command, CommandKind, Exchange, Message, Passage
from assistant.registry import Registry
from assistant.store import adapters, audit
from assistant.store.database import Database
from assistant.watch import Watch

_log = logging.getLogger(__name__)

_LOOK = 0.2  # seconds between two looks for commands and restarts of the engine
_CANARY_TOKENS = 16
_CANARY_SECONDS = 60


class Adapters:
    """The adapters of the running engine. Belongs to one event loop; the only one that loads, flips and unloads."""

    def __init__(self, *, database: Database, engine: Engine, registry: Registry) -> None:
        self._database = database
        self._engine = engine
        self._registry = registry
        self._lock = asyncio.Lock()
        self._start = 0  # the engine's start that the state below is of
        self._live: str | None = None
        self._warm: str | None = None
        self._guests: set[str] = set()  # loaded because another process asked for it
        self._answering: Counter[str | None] = Counter()
        self._problem: str | None = None
        self._watch = Watch()
        with database.write() as session:
            adapters.fail_unfinished(session)

    @property
    def live(self) -> str | None:
        """The version that answers; None: the base model itself."""
        return self._live

    @property
    def problem(self) -> str | None:
        """Why the champion does not answer though it should, in words for an admin."""
        return self._problem

    def answering(self) -> dict[str | None, int]:
        """How many answers each version is giving."""
        return dict(+self._answering)

    async def ready(self) -> None:
        """Waits until the engine runs and is at what the registry says. Raises ModelError if it never will be."""
        while True:
            await self._engine.ready()
            async with self._lock:
                start = self._engine.starts
                if self._start == start:
                    return
                try:
                    await self._reconcile()
                    self._start = start
                except EngineError:
                    if self._engine.notice is None and self._engine.starts == start:
                        raise

    @contextmanager
    def answer(self) -> Iterator[str | None]:
        """The version to answer with; it stays loaded until the end of the block."""
        version = self._live
        self._answering[version] += 1
        try:
            yield version
        finally:
            self._answering[version] -= 1

    async def promote(self, version: str, *, person_id: int | None, reason: str = "", by_gate: bool = False) -> None:
        """Makes a version the champion. Whatever goes wrong before the flip changes nothing.

        ``reason`` is what a person gave who promotes by hand. ``by_gate``: only if what the gate proved holds still,
        else NotAllowedError.
        Raises NotFoundError, InputError for one of another base or prompt, and ModelError when it cannot be served.
        """
        await self.ready()
        async with self._lock:
            await self._make_ready(version)
            await asyncio.to_thread(self._commit_promotion, version, person_id, reason, by_gate)
            await self._flip(version)

    async def rollback(self, *, person_id: int | None, reason: str = "", seen: str | None = None) -> None:
        """Makes the champion's predecessor the champion; one that cannot be served is passed over.

        ``seen`` is the champion that a person wants to have gone. Raises NotFoundError when the base model is the
        champion, and InputError when another one is than was seen: it was rolled back already.
        """
        await self.ready()
        async with self._lock:
            line = [adapter.version for adapter in await asyncio.to_thread(self._line)]
            if seen is not None and seen not in line[:1]:
                raise InputError(f"The adapter {seen} does not answer any more. Look again.")
            before, _ = await self._first_served(line[1:])
            await asyncio.to_thread(self._commit_rollback, before, person_id, reason)
            await self._flip(before)

    async def forget(self, *, person_id: int) -> list[str]:
        """Takes all versions out for good that learnt from what was deleted since; returns them.

        From then on the latest one before the champion answers that did not, or the base model.
        """
        await self.ready()
        async with self._lock:
            left = await asyncio.to_thread(self._unaffected)
            if left is not None:
                await self._make_ready(left)
            withdrawn = await asyncio.to_thread(self._commit_forgetting, person_id)
            if left != self._live:
                await self._flip(left)
        return withdrawn

    async def load(self, version: str) -> None:
        """Makes a version ready beside the champion, for a process that measures it, until ``unload``."""
        await self.ready()
        async with self._lock:
            await self._make_ready(version)
            self._guests.add(version)

    async def unload(self, version: str) -> None:
        async with self._lock:
            self._guests.discard(version)
            await self._unload_idle()

    async def run(self) -> None:
        """Keeps the engine at what the registry says and carries out commands, until cancelled."""
        told = ""
        while True:
            try:
                await self.ready()
                while command := await asyncio.to_thread(self._next_command):
                    await self._carry_out(command)
                await self._take_back_what_breaks()
                async with self._lock:
                    await self._warm_up()
                    await self._unload_idle()
            except FielError as error:
                if str(error) != told:  # an engine that cannot be had says the same at every look
                    _log.warning("the adapters could not be brought to what the registry says: %s", error)
                told = str(error)
            await asyncio.sleep(_LOOK)

    def answered(self, exchange: Exchange, *, most_tokens: int, lost: bool = False) -> None:
        """An answer has ended, in whatever way; ``lost``: with the engine. From any thread."""
        self._watch.note(exchange, most_tokens=most_tokens, crash=self._engine.starts if lost else None)

    async def _take_back_what_breaks(self) -> None:
        """Rolls the champion back if it breaks its answers and the base model, on the same engine, does not."""
        version = self._live
        if version is None or not self._watch.breaks(version):
            return
        if await self._is_champion(version) and await self._base_answers():
            _log.error("%s IS TAKEN BACK: half of its latest answers were empty, endless or failed", version)
            await self.rollback(person_id=None, reason=adapters.BROKE, seen=version)
        self._watch.forget(version)

    async def _is_champion(self, version: str) -> bool:
        """No: it answers for the champion, which could not be loaded."""
        line = await asyncio.to_thread(self._line)
        return bool(line) and line[0].version == version

    async def _base_answers(self) -> bool:
        try:
            await self._canary(None)
        except EngineError:
            return False
        return True

    async def _reconcile(self) -> None:
        """After a start of the engine: the champion, or the first of its predecessors that can be served, goes live."""
        line = [adapter.version for adapter in await asyncio.to_thread(self._line)]
        live, problems = await self._first_served(line)
        await self._flip(live)
        if problems:
            _log.error("THE CHAMPION IS NOT SERVED")
            instead = f"the adapter {live}" if live else "the base model"
            self._problem = f"{' '.join(problems)} Instead, {instead} answers."
            await asyncio.to_thread(self._record_fallback)
        for guest in sorted(self._guests):
            try:
                await self._make_ready(guest)
            except (ModelError, InputError):
                _log.exception("the adapter %s could not be loaded again", guest)
                self._guests.discard(guest)
        await self._warm_up()

    async def _first_served(self, line: Sequence[str]) -> tuple[str | None, list[str]]:
        """The first of these versions that can be served, ready now; and why those before it cannot."""
        problems = []
        for version in line:
            try:
                await self._make_ready(version)
            except (ModelError, InputError) as error:
                _log.exception("%s is passed over", version)
                problems.append(str(error))
            else:
                return version, problems
        return None, problems

    async def _make_ready(self, version: str) -> None:
        """Loads a version, unless it is, and hears that it answers."""
        if version in self._engine.adapters:
            return
        with self._database.read() as session:
            adapter = adapters.get(session, version)
        if adapter.base != self._engine.model:
            raise InputError(f"The adapter {version} was trained for {adapter.base}, not for {self._engine.model}.")
        if adapter.prompt_version != prompts.VERSION:
            raise InputError(
                f"The adapter {version} was trained with prompt format {adapter.prompt_version}; "
                f"questions are asked in format {prompts.VERSION} now."
            )
        await asyncio.to_thread(self._registry.verify, version)
        await self._engine.load_adapter(version, self._registry.path(version))
        try:
            async with asyncio.timeout(_CANARY_SECONDS):
                await self._canary(version)
        except BaseException as error:
            if isinstance(error, TimeoutError) and version == self._live:
                _log.warning("%s, which answered before, is slow to answer", version)
                return  # the engine is busy; the adapter is as good as it was
            with suppress(EngineError):
                await self._engine.unload_adapter(version)
            if isinstance(error, ModelError | TimeoutError):
                raise ModelError(f"The adapter {version} does not answer a test question: {error}") from error
            raise

    async def _canary(self, version: str | None) -> None:
        sampling = Sampling(max_tokens=_CANARY_TOKENS)
        async with aclosing(self._engine.stream(_CANARY, sampling=sampling, adapter=version)) as deltas:
            said = "".join([delta.text async for delta in deltas])
        if not said.strip():
            raise ModelError("it says nothing.")

    async def _flip(self, version: str | None) -> None:
        self._live, self._problem = version, None
        if version is not None:
            self._guests.discard(version)  # whoever measured it is done, and it stays for as long as it answers
        _log.info("%s answers from now on", version or "the base model")
        before = await asyncio.to_thread(self._before)
        self._warm = before if version not in (None, before) else None

    async def _warm_up(self) -> None:
        """Loads the version that a rollback would lead to: after a promotion it still is, after a rollback whoever
        asked for that need not wait."""
        if self._warm is None:
            return
        try:
            await self._make_ready(self._warm)
        except (ModelError, InputError) as error:
            _log.warning("a rollback will not find its adapter: %s", error)
            self._warm = None

    async def _unload_idle(self) -> None:
        """Unloads what is neither wanted nor answering any more."""
        for version in self._engine.adapters - {self._live, self._warm, *self._guests}:
            if not self._answering[version]:
                await self._engine.unload_adapter(version)

    async def _carry_out(self, command: Command) -> None:
        problem = None
        try:
            if command.kind is CommandKind.ROLLBACK:
                await self.rollback(person_id=command.person_id)
            elif command.version is None:
                raise InputError("A version is missing.")
            elif command.kind is CommandKind.PROMOTE:
                by_gate = command.person_id is None
                await self.promote(command.version, person_id=command.person_id, by_gate=by_gate)
            elif command.kind is CommandKind.LOAD:
                await self.load(command.version)
            else:
                await self.unload(command.version)
        except FielError as error:
            problem = str(error)
        await asyncio.to_thread(self._finish, command, problem)

    def _line(self) -> list[Adapter]:
        with self._database.read() as session:
            return adapters.line(session, self._engine.model)

    def _before(self) -> str | None:
        with self._database.read() as session:
            return adapters.before(session, self._engine.model)

    def _unaffected(self) -> str | None:
        with self._database.read() as session:
            return adapters.unaffected(session, self._engine.model)

    def _next_command(self) -> Command | None:
        with self._database.read() as session:  # most looks find nothing, and take no lock for it
            if not adapters.any_waiting(session):
                return None
        with self._database.write() as session:
            return adapters.claim(session)

    def _finish(self, command: Command, problem: str | None) -> None:
        with self._database.write() as session:
            adapters.finish(session, command.id, problem=problem)

    def _commit_promotion(self, version: str, person_id: int | None, reason: str, by_gate: bool) -> None:
        with self._database.write() as session:
            if by_gate:
                adapters.promote_proven(session, version)
            else:
                adapters.promote(session, version, person_id=person_id, reason=reason)

    def _commit_rollback(self, to: str | None, person_id: int | None, reason: str) -> None:
        with self._database.write() as session:
            adapters.roll_back(session, self._engine.model, to=to, person_id=person_id, reason=reason)

    def _commit_forgetting(self, person_id: int) -> list[str]:
        with self._database.write() as session:
            return adapters.withdraw_affected(session, self._engine.model, person_id=person_id)

    def _record_fallback(self) -> None:
        with self._database.write() as session:
            audit.record(session, "adapter.fallback", person_id=None, subject=self._live or "")


def _canary_messages() -> tuple[Message, ...]:
    text = "The lighthouse of Cabo Raso was built in 1894."
    passage = Passage(
        document_id=0,
        lineage="",
        document="lighthouse.txt",
        scope="",
        page=None,
        section=0,
        start=0,
        end=len(text),
        text=text,
        score=1.0,
        sentences=((0, 0, len(text)),),
        hits=(0,),
    )
    return tuple(prompts.render(question="When was the lighthouse of Cabo Raso built?", passages=[passage]))


_CANARY = _canary_messages()
