"""Adapters by HTTP: which there are, which one answers, promote one, roll back. For admins."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import Field

from assistant.api.dependencies import Body, Me, Parts, Text, current_admin
from assistant.errors import InputError
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


class RollbackBody(Body):
    seen: Annotated[str, Field(max_length=80)] | None = None


@router.post("/rollback")
async def roll_back(services: Parts, person: Me, body: RollbackBody | None = None) -> dict[str, Any]:
    """Makes the champion's predecessor the champion. Answers that are being streamed are not disturbed.

    With ``seen``, the champion that is to go, asking twice rolls back once: 422 if another one is the champion by then.
    """
    await services.adapters.rollback(person_id=person.id, seen=body.seen if body else None)
    return {"live": services.adapters.live}


class PromoteBody(Body):
    reason: Annotated[str, Field(max_length=1000)] = ""


@router.post("/{version}/promote")
async def promote(version: Text, services: Parts, person: Me, body: PromoteBody | None = None) -> dict[str, Any]:
    """Makes a version the champion, once it has answered a test question.

    One that did not pass the gate needs a reason, which is kept with it.
    """
    reason = body.reason.strip() if body else ""
    with services.database.read() as session:
        if not adapters.get(session, version).proven and not reason:
            raise InputError(f"The adapter {version} did not pass the gate. Say why it shall answer all the same.")
    await services.adapters.promote(version, person_id=person.id, reason=reason)
    return {"live": services.adapters.live}


@router.post("/{version}/withdraw")
async def withdraw(version: Text, services: Parts, person: Me) -> dict[str, Any]:
    """Takes a version out for good; the champion has to be rolled back first."""
    with services.database.write() as session:
        adapters.withdraw(session, version, person_id=person.id)
    return {"withdrawn": version}


@router.get("/{version}/lineage")
async def lineage(version: Text, services: Parts) -> dict[str, Any]:
    """What is behind a version: its run, when it answered, and the exchanges that it learnt from, by id."""
    with services.database.read() as session:
        adapter = adapters.get(session, version)
        served = [asdict(s) for s in adapters.services(session, adapter.base) if s.version == version]
        return {
            "adapter": asdict(adapter),
            "services": served,
            "exchanges": sorted(adapters.exchanges_of(session, [version])),
        }
