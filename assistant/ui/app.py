"""Puts the pages onto the application that serves the API."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping

# Read when Gradio is imported: it reports to nobody.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr
from fastapi import FastAPI
from gradio.routes import App
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from assistant import web, words
from assistant.errors import InputError, NotFoundError
from assistant.services import Services
from assistant.ui import layout, support
from assistant.ui.chat import ChatEvents
from assistant.ui.conversations import ConversationEvents
from assistant.ui.documents import DocumentEvents
from assistant.ui.people import name_of
from assistant.ui.words import building
from assistant.web.render import shown

_NEEDED = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|robots\.txt|manifest\.json)/?|/(assets|static|svelte)/.*"
    r"|/gradio_api/(queue/(join|data)|heartbeat/[^/]*|startup-events|app_id|info)/?"
)
"""All that the page asks of Gradio. Its other routes (uploads, files, cancelling, proxies) serve anybody anything."""


def mount(app: FastAPI, services: Services) -> FastAPI:
    """Adds the pages to the application, after all routes that it has already; the chat, at ``/``, comes last."""
    # Nothing is uploaded through Gradio, but were it, then not through the machine's /tmp.
    os.environ["GRADIO_TEMP_DIR"] = str(services.settings.state / "uploads")
    web.mount(app)
    app.include_router(support.router)
    in_language: dict[str, App] = {}
    for language in words.LANGUAGES:
        app = _mounted(app, services, language)
        in_language[language] = app.router.routes.pop().app  # type: ignore[attr-defined]  # a Mount
    app.mount("/", _Chat(in_language), name="chat")
    return app


def _mounted(app: FastAPI, services: Services, language: str) -> FastAPI:
    with building(language):
        blocks = _blocks(services)
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        auth_dependency=name_of,
        favicon_path=str(layout.MARK),
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=layout.theme(),
        # In the head, because Gradio rewrites the selectors of its own ``css`` to what lies inside its container.
        head=f"<style>{layout.CSS.read_text(encoding='utf-8')}</style>",
        js=layout.SCRIPT.read_text(encoding="utf-8"),
    )
    return mounted


class _Chat:
    """The chat page in the reader's language: one Gradio application for each, since labels are made with the page."""

    def __init__(self, in_language: Mapping[str, App]) -> None:
        self._in_language = in_language

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if scope["type"] != "http" or not _NEEDED.fullmatch(scope["path"]):
            request = Request(scope)
            await shown(request, NotFoundError("There is no such page."))(scope, receive, send)
            return
        chat = self._in_language[words.chosen(headers)]
        if scope["path"].rstrip("/").endswith("/queue/join"):  # Gradio fails on what it does not know
            request = Request(scope, receive)
            body = await request.body()
            if not _is_event(body, chat.get_blocks().fns):
                await shown(request, InputError("There is no such event."))(scope, receive, send)
                return
            receive = _again(body, receive)
        await chat(scope, receive, send)


def _is_event(body: bytes, events: Collection[int]) -> bool:
    try:
        return json.loads(body)["fn_index"] in events
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _again(body: bytes, receive: Receive) -> Receive:
    """Hands on a request's body that was read, and then what follows it."""
    told = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive_again() -> Message:
        first = next(told, None)
        return await receive() if first is None else first

    return receive_again


def _blocks(services: Services) -> gr.Blocks:
    with gr.Blocks(title=words.LANGUAGES[words.DEFAULT].NAME, analytics_enabled=False, fill_width=True) as opened:
        blocks: gr.Blocks = opened
        page = layout.build()
        ChatEvents(page=page, services=services).wire()
        DocumentEvents(page=page, services=services).wire()
        ConversationEvents(page=page, services=services).wire(blocks)
    return blocks
