import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from assistant.errors import FielError
from assistant.store import accounts
from assistant.store.database import open_database, sqlite_url
from assistant.store.tables import Base, PersonRow


def test_the_migrations_make_what_the_tables_say(tmp_path: Path) -> None:
    database = open_database(sqlite_url(tmp_path / "a.db"))
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        differences = [change for change in compare_metadata(context, Base.metadata) if "_words" not in str(change)]
    database.close()
    assert differences == []


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    database = open_database(sqlite_url(tmp_path / "a.db"))
    with pytest.raises(ZeroDivisionError), database.write() as session:
        accounts.local_admin(session)
        raise ZeroDivisionError
    with database.read() as session:
        assert session.query(PersonRow).count() == 0
    database.close()


def test_a_database_that_was_damaged_says_so(tmp_path: Path) -> None:
    database = open_database(sqlite_url(tmp_path / "a.db"))
    with database.write() as session:
        accounts.local_admin(session)
    database.close()
    pages = bytearray((tmp_path / "a.db").read_bytes())
    pages[4096:] = b"x" * (len(pages) - 4096)
    (tmp_path / "a.db").write_bytes(pages)
    for use in (database.read, database.write):
        with pytest.raises(FielError, match="cannot be used"), use() as session:
            session.query(PersonRow).all()
    database.close()


def test_many_writers_wait_for_each_other(tmp_path: Path) -> None:
    database = open_database(sqlite_url(tmp_path / "a.db"))
    with database.write() as session:
        accounts.local_admin(session)

    def rename(n: int) -> None:
        for _ in range(20):
            with database.write() as session:  # reads before it writes: the case that deadlocks without BEGIN IMMEDIATE
                person = session.query(PersonRow).one()
                person.name = f"{person.name}{n}"

    threads = [threading.Thread(target=rename, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert len(session.query(PersonRow).one().name) == len(accounts.LOCAL_ADMIN) + 4 * 20
    database.close()


def test_an_old_database_opens_again(tmp_path: Path) -> None:
    for _ in range(2):
        database = open_database(sqlite_url(tmp_path / "a.db"))
        with database.write() as session:
            person = accounts.local_admin(session)
        database.close()
    assert person.id == 1


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("not a database, but long enough to look at as if it were one")
    with pytest.raises(FielError, match="cannot be opened"):
        open_database(sqlite_url(tmp_path / "a.db"))
