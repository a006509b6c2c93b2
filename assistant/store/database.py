"""Opens the database, brings its schema up to date and hands out transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.orm import Session

from assistant.errors import BusyError, FielError

_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "foreign_keys=ON",
    "busy_timeout=15000",
    "secure_delete=ON",  # what is deleted is overwritten
)
_MERGED_PAGES = -200  # negative: into one segment in the end
_MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """Transactions on one database. Thread-safe: each transaction has a session and a connection of its own."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writing = engine.execution_options(writing=True)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent view; what is changed in it is thrown away. Raises FielError when the database is damaged."""
        with Session(self.engine) as session, _translated():
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction: committed at the end of the block, rolled back if the block raises.

        Raises BusyError when another writer holds SQLite for longer than its time limit.
        """
        with Session(self._writing) as session, _translated(), session.begin():
            yield session

    def scrub(self) -> bool:
        """Takes what was deleted out of the bytes on disk: full-text indexes keep words until they are merged, and the
        write-ahead log keeps old pages until it is emptied. Works in small steps, so that others can write meanwhile.

        Returns whether all is out: while somebody reads what was there before, it cannot be.
        """
        if self.engine.dialect.name != "sqlite":
            return True
        for table in ("paragraph_words", "rating_words"):
            merge = text(f"INSERT INTO {table}({table}, rank) VALUES('merge', {_MERGED_PAGES})")
            changed = 2
            while changed >= 2:  # fewer: there was nothing to do
                with self.write() as session:
                    before = session.scalar(text("SELECT total_changes()"))
                    session.execute(merge)
                    changed = (session.scalar(text("SELECT total_changes()")) or 0) - (before or 0)
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            busy: int = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
        return not busy

    def close(self) -> None:
        self.engine.dispose()


def open_database(url: str) -> Database:
    """Opens ``url``, creating or migrating the schema. Raises FielError when it cannot be opened."""
    engine = create_engine(url, hide_parameters=True)  # what people wrote stays out of the log
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    config = alembic.config.Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")
    except DatabaseError as error:
        engine.dispose()
        raise FielError(f"The database {engine.url.render_as_string()} cannot be opened: {error.orig}") from error
    return Database(engine)


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late for a consistent read
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            "busy_timeout=15000",
            "secure_delete=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that first reads and then writes fails at once when another writer came between; taking the
        # write lock at the start makes it wait instead.
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        if "database is locked" in str(error.orig):
            raise BusyError("The database is busy. Please try again in a moment.") from error
        if "disk is full" in str(error.orig):
            raise FielError("The disk is full. Free some space and try again; nothing was changed.") from error
        if isinstance(error, OperationalError) or type(error) is DatabaseError:  # its files, and no mistake of ours
            raise FielError(f"The database cannot be used: {error.orig}") from error
        raise
