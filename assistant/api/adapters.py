"""Adapters by HTTP: which there are, which one answers, promote one, roll back. For admins."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends

from assistant.api.dependencies import Me, Parts, Text, current_admin
from assistant.store import adapters

router = APIRouter(prefix="/api/adapters", tags=["adapters"], dependencies=[Depends(current_admin)])


@router.get("")
async def list_adapters(services: Parts) -> dict[str, Any]:
    """The adapters of the model that runs, the latest first.

    ``champion`` is the one that should answer and ``live`` the one that does (null: the base model); where they differ,
    ``problem`` says why. ``affected_at`` of an adapter: when the first of the exchanges it learnt from was deleted.
    """
    await services.adapters.ready()
    base = services.engine.model
    with services.database.read() as session:
        return {
            "base": base,
            "champion": adapters.champion(session, base),
            "live": services.adapters.live,
            "problem": services.adapters.problem,
            "adapters": [asdict(adapter) for adapter in adapters.for_base(session, base)],
        }


@router.post("/rollback")
async def roll_back(services: Parts, person: Me) -> dict[str, Any]:
    """Makes the champion's predecessor the champion. Answers that are being streamed are not disturbed."""
    await services.adapters.rollback(person_id=person.id)
    return {"live": services.adapters.live}


@router.post("/{version}/promote")
async def promote(version: Text, services: Parts, person: Me) -> dict[str, Any]:
    """Makes a version the champion, once it has answered a test question."""
    await services.adapters.promote(version, person_id=person.id)
    return {"live": services.adapters.live}
