"""The command line of Fiel, and the place where its parts are built and wired.

Every command is a client of the HTTP API: of the server that runs already, or else of one that is started for the
length of the command. So there is one way in, and never a second owner of the state folder. Only ``retrain`` reads the
log itself, beside a server or without one.
"""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

# Set before any vendor is imported: nothing phones home.
os.environ.update(GRADIO_ANALYTICS_ENABLED="False", ANONYMIZED_TELEMETRY="False", HF_HUB_DISABLE_TELEMETRY="1")

import httpx

from assistant import cli, settings, state
from assistant.errors import FielError, ModelError

if TYPE_CHECKING:
    import argparse

    from assistant.api.server import Server
    from assistant.engines.base import Engine
    from assistant.entailment import Judge
    from assistant.services import Services
    from assistant.settings import Settings
    from trainer.schedule import Scheduler


def main() -> int:
    arguments = cli.parse(sys.argv[1:])
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except FielError as error:
        print(f"fiel: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read the output has seen enough, as ``head`` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _run(arguments: argparse.Namespace) -> int:
    configuration = settings.load(**cli.overrides(arguments))
    if arguments.command == "serve":
        return serve(configuration)
    if arguments.command in {"restore", "doctor", "retrain"}:
        return _alone(arguments, configuration)
    address = _address(configuration)
    with client(configuration) as http:
        return cli.run(arguments, http, address=address)


def _alone(arguments: argparse.Namespace, configuration: Settings) -> int:
    """The commands that need no server, or want none to run."""
    if arguments.command == "restore":
        from assistant.backup import restore

        before = restore(arguments.backup, configuration.state)
        print(f"Restored.{f' What was there is in {before}.' if before else ''}")
        return 0
    if arguments.command == "doctor":
        from assistant import doctor

        return doctor.report(configuration, print)
    from trainer.retrain import retrain

    configuration = _with_model(configuration, aloud=True)
    return retrain(configuration, dry_run=arguments.dry_run, agree=lambda: arguments.yes or cli.agreed())


def serve(configuration: Settings) -> int:
    """Runs the page and the API until Ctrl-C."""
    print("Fiel is starting …", flush=True)
    with state.owned(configuration.state):
        listener = _listen(configuration)
        _log_to(configuration.state / "logs", configuration.log_level)
        with _server(configuration, listener, page=True) as (server, address):
            print(f"Fiel is ready: {address}\nPress Ctrl-C to stop.", flush=True)
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
            with suppress(KeyboardInterrupt):  # which the server passes on once it has stopped
                server.run([listener])
    print("Fiel has stopped.", flush=True)
    return 0


@contextmanager
def client(configuration: Settings) -> Iterator[httpx.Client]:
    """A client of the API: of the running server if there is one, else of one that lives as long as the block."""
    running = state.running_server(configuration.state)
    if running is not None:
        with _http(running) as http:
            yield http
        return
    with state.owned(configuration.state):
        listener = socket.create_server(("127.0.0.1", 0))
        with _server(configuration, listener, page=False) as (server, _):
            thread = threading.Thread(target=server.run, args=([listener],), name="server")
            thread.start()
            try:
                with _http(state.running_server(configuration.state)) as http:
                    yield http
            finally:
                server.should_exit = True
                thread.join()


def _address(configuration: Settings) -> str:
    """Where people reach the program, now or once it runs."""
    running = state.running_server(configuration.state)
    return running.address if running else f"http://{configuration.host}:{configuration.port}"


def _http(server: state.Server | None) -> httpx.Client:
    assert server is not None  # announced by whoever calls
    headers = {"Authorization": f"Bearer {server.token}"}
    return httpx.Client(base_url=server.address, headers=headers, timeout=None, trust_env=False)  # noqa: S113


@contextmanager
def _server(configuration: Settings, listener: socket.socket, *, page: bool) -> Iterator[tuple[Server, str]]:
    """All parts built, wired and announced; undone in reverse order."""
    from assistant import api
    from assistant.api.server import Server
    from assistant.engines.starting import StartingEngine

    configuration = _with_model(configuration, aloud=page)
    bound, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bound, bound)  # noqa: S104  (not what is listened on)
    elsewhere = "" if host == bound else f" (on another machine with this one's name in place of {host})"
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    announcement = state.Server(address=address, pid=os.getpid(), token=state.new_token())
    with ExitStack() as stack:
        engine = StartingEngine(lambda: _engine(configuration, aloud=page))
        services = build(configuration, engine, stack)
        if page and not configuration.on_loopback and (first := services.accounts.first_link()) is not None:
            name, token = first
            print(
                f"Nobody has an account yet. Become the administrator {name!r} by choosing a password here, once, "
                f"within three days{elsewhere}:\n{address}/invitations/{token}",
                flush=True,
            )
        app = api.create(services, local_token=announcement.token)
        if page:
            from assistant.ui.app import mount

            app = mount(app, services)
            stack.callback(_schedule(configuration, services).close)
        engine.start()  # last, because its imports take seconds: the page is there before
        stack.enter_context(state.announced(configuration.state, announcement))
        yield Server(app, services.adapters), address


def build(configuration: Settings, engine: Engine, stack: ExitStack) -> Services:
    """The running parts; ``stack`` takes what stops them again. The caller owns the state folder."""
    from assistant.accounts import Accounts
    from assistant.adapters import Adapters
    from assistant.chat import Chat
    from assistant.documents.ingest import Library
    from assistant.feedback import Ratings
    from assistant.forgetting import Forgetting
    from assistant.refusals import Refusals
    from assistant.registry import Registry
    from assistant.retrieval.embeddings import Embedder
    from assistant.retrieval.search import Search
    from assistant.retrieval.vectors import Vectors
    from assistant.services import Services
    from assistant.store import accounts, exchanges
    from assistant.store.database import open_database, sqlite_url
    from assistant.support import Supporter

    folder = configuration.state
    database = open_database(sqlite_url(folder / "fiel.db"))
    stack.callback(database.close)
    with database.write() as session:
        exchanges.fail_unfinished(session)
        local_admin = accounts.local_admin(session)
    embedder = Embedder(configuration.retrieval.embedding_model)
    vectors = Vectors(folder / "vectors", configuration.chroma_url)
    stack.callback(vectors.close)
    stack.callback(lambda: asyncio.run(engine.close()))
    adapters = Adapters(database=database, engine=engine, registry=Registry(database, folder / "adapters"))
    search = Search(database=database, vectors=vectors, embedder=embedder, settings=configuration.retrieval)
    library = Library(database=database, vectors=vectors, embedder=embedder, folder=folder, limits=configuration.limits)
    people = Accounts(database)
    forgetting = Forgetting(
        database=database, library=library, accounts=people, training=configuration.state / "training"
    )
    stack.callback(forgetting.close)
    supporter = Supporter(database, _judge)
    supporter.start()
    stack.callback(supporter.close)
    library.start()
    forgetting.start()
    stack.callback(library.close)  # first: what cleans up after deletions waits for it
    return Services(
        settings=configuration,
        database=database,
        accounts=people,
        ratings=Ratings(database, configuration.review),
        forgetting=forgetting,
        refusals=Refusals(database),
        library=library,
        vectors=vectors,
        search=search,
        engine=engine,
        adapters=adapters,
        chat=Chat(
            database=database,
            search=search,
            engine=engine,
            adapters=adapters,
            settings=configuration,
            supporter=supporter,
        ),
        local_admin=local_admin,
    )


def _schedule(configuration: Settings, services: Services) -> Scheduler:
    from assistant.records import SHARED
    from assistant.store import golden
    from trainer.schedule import Scheduler, process

    def prepare() -> None:
        golden.freeze(services.database, lambda question: services.search.search(question, scopes=[SHARED]).passages)

    asked = {"model": configuration.model, "training": configuration.training.model_dump(mode="json")}
    scheduler = Scheduler(services.database, process(configuration), asked=asked, prepare=prepare)
    scheduler.start()
    return scheduler


def _judge() -> Judge:
    from assistant.entailment import load_judge

    return load_judge("a")


def _with_model(configuration: Settings, *, aloud: bool) -> Settings:
    """``aloud``: nobody may be asking when another model is taken, so it is said on the terminal too."""
    from assistant.engines import choose

    def tell(what: str) -> None:
        logging.getLogger(__name__).warning(what)
        if aloud:
            print(f"fiel: {what}", file=sys.stderr, flush=True)

    return choose.with_model(configuration, tell=tell)


def _engine(configuration: Settings, *, aloud: bool) -> Engine:
    """``aloud``: nobody may be asking when it fails, so it is said on the terminal too."""
    from assistant.engines import choose

    try:
        return choose.build(configuration)
    except ModelError as error:
        if aloud:
            print(f"fiel: {error}", file=sys.stderr, flush=True)
        raise


def _listen(configuration: Settings) -> socket.socket:
    """The configured port; if it is the default one and taken, any free one."""
    family = socket.AF_INET6 if ":" in configuration.host else socket.AF_INET
    try:
        return socket.create_server((configuration.host, configuration.port), family=family)
    except OSError as error:
        if "port" not in configuration.model_fields_set:
            return socket.create_server((configuration.host, 0), family=family)
        raise FielError(
            f"Port {configuration.port} of {configuration.host} cannot be used: {error.strerror}. Choose another one "
            "with --port."
        ) from error


def _log_to(folder: Path, level: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(folder / "fiel.log", maxBytes=5_000_000, backupCount=3)
    logging.basicConfig(
        level=level, handlers=[handler], format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    logging.captureWarnings(capture=True)


if __name__ == "__main__":
    sys.exit(main())
