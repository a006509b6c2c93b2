"""The running parts of the program, as `launch.py` builds them and as the API and the pages use them."""

from __future__ import annotations

from dataclasses import dataclass

from assistant.adapters import Adapters
from assistant.chat import Chat
from assistant.documents.ingest import Library
from assistant.engines.base import Engine
from assistant.records import Person
from assistant.retrieval.search import Search
from assistant.settings import Settings
from assistant.store.database import Database


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    database: Database
    library: Library
    search: Search
    engine: Engine
    adapters: Adapters
    chat: Chat
    local_admin: Person
    """Who everybody is, while the program listens on loopback and asks for no login."""
