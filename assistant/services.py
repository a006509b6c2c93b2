"""The running parts of the program, as `launch.py` builds them and as the API and the pages use them."""

from __future__ import annotations

from dataclasses import dataclass

from assistant.accounts import Accounts
from assistant.adapters import Adapters
from assistant.chat import Chat
from assistant.documents.ingest import Library
from assistant.engines.base import Engine
from assistant.feedback import Ratings
from assistant.forgetting import Forgetting
from assistant.records import Person
from assistant.refusals import Refusals
from assistant.retrieval.search import Search
from assistant.retrieval.vectors import Vectors
from assistant.settings import Settings
from assistant.store.database import Database


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    database: Database
    accounts: Accounts
    ratings: Ratings
    forgetting: Forgetting
    refusals: Refusals
    library: Library
    vectors: Vectors
    search: Search
    engine: Engine
    adapters: Adapters
    chat: Chat
    local_admin: Person
    """Who everybody is while there are no accounts, and the command line always."""
