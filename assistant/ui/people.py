"""Who is asking. The one place of the pages that decides it: every handler works for this person alone."""

from __future__ import annotations

from assistant.records import Person
from assistant.services import Services


def current_person(services: Services) -> Person:
    return services.local_admin
