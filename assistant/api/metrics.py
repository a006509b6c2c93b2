"""What Prometheus reads: the program's own figures, and beside them those of vLLM where it runs. For admins:
once there are accounts, Prometheus needs an admin's API key."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse

from assistant.api.dependencies import Parts, current_admin
from assistant.services import Services
from assistant.store import documents, exchanges

router = APIRouter(tags=["system"], dependencies=[Depends(current_admin)])


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(services: Parts) -> PlainTextResponse:
    """Answers, first token, tokens and ratings by adapter version, retrieval, queues and the live adapter."""
    own = await asyncio.to_thread(_own, services)
    return PlainTextResponse(own + await services.engine.metrics(), media_type="text/plain; version=0.0.4")


def _own(services: Services) -> str:
    with services.database.read() as session:
        ratings = exchanges.ratings_by_adapter(session)
        queued = documents.unread(session)
    return services.chat.metrics.rendered(
        running=services.adapters.answering(),
        ratings=ratings,
        queued=queued,
        model=None if services.engine.notice else services.engine.model,
        live=services.adapters.live,
        fallback=services.adapters.problem is not None,
    )
