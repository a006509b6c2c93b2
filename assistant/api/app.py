"""Puts the API together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

import assistant
from assistant.api import (
    account,
    adapters,
    conversations,
    documents,
    errors,
    exchanges,
    golden,
    metrics,
    openai,
    people,
    review,
    samples,
    system,
    training,
    viewer,
)
from assistant.api.door import Door
from assistant.api.guard import Guard
from assistant.api.refused import Refused
from assistant.services import Services
from assistant.state import new_token

_BODY = 4 * 1024**2  # bytes; far more than any conversation needs
_GOLDEN = 64 * 1024**2
_FILES_AT_ONCE = 10  # of the largest size, in one upload


def create(services: Services, *, local_token: str | None = None) -> FastAPI:
    """The application: the API, its documentation at ``/docs``, and the door and guard that cover later mounts too.

    ``local_token`` makes its bearer the local admin, who may name files of this machine to ``POST /api/ingest``;
    without one, nobody can. While it runs, the application keeps the engine at what the registry of adapters says; at
    its end it closes the engine. The caller starts and closes the other services.
    """
    app: FastAPI = FastAPIOffline(
        title="Fiel",
        version=assistant.__version__,
        description="Ask your own documents, and rate what you are told.",
        lifespan=_running,
    )
    app.state.services = services
    app.state.local_token = local_token
    errors.install(app)
    # The last one added is the first to see a request.
    app.add_middleware(
        Door, accounts=services.accounts, local_admin=services.local_admin, local_token=local_token or new_token()
    )
    app.add_middleware(Guard, accounts=services.accounts)
    app.add_middleware(Refused, refusals=services.refusals)
    modules = (
        openai,
        account,
        people,
        review,
        samples,
        conversations,
        exchanges,
        adapters,
        training,
        viewer,
        metrics,
        system,
    )
    for module in modules:
        app.include_router(module.router, max_body_size=_BODY)
    app.include_router(golden.router, max_body_size=_GOLDEN)
    upload = _FILES_AT_ONCE * services.settings.limits.file_mb * 1024**2
    app.include_router(documents.router, max_body_size=upload, form_limits={"max_files": 100, "max_fields": 10})
    return app


@asynccontextmanager
async def _running(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    watching = asyncio.create_task(services.adapters.run())
    yield
    watching.cancel()
    await asyncio.wait([watching])
    await services.engine.close()
