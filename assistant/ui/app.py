"""Puts the page onto the application that serves the API."""

from __future__ import annotations

import os

# Read when Gradio is imported: it reports to nobody.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr
from fastapi import FastAPI

from assistant.services import Services
from assistant.ui import layout, words
from assistant.ui.chat import ChatEvents
from assistant.ui.conversations import ConversationEvents
from assistant.ui.documents import DocumentEvents

_KEPT_SECONDS = 3600  # uploads that a broken connection left behind are deleted after this


def mount(app: FastAPI, services: Services) -> FastAPI:
    """Adds the page at ``/`` to the application, after all routes that it has already."""
    # Uploads pass through the state folder, which only its owner can read, and not through the machine's /tmp.
    os.environ["GRADIO_TEMP_DIR"] = str(services.settings.state / "uploads")
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        _blocks(services),
        path="/",
        favicon_path=str(layout.MARK),
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=services.settings.limits.file_mb * 1024**2,
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


def _blocks(services: Services) -> gr.Blocks:
    with gr.Blocks(
        title=words.NAME, analytics_enabled=False, fill_width=True, delete_cache=(_KEPT_SECONDS, _KEPT_SECONDS)
    ) as opened:
        blocks: gr.Blocks = opened
        page = layout.build()
        ChatEvents(page=page, services=services).wire()
        DocumentEvents(page=page, services=services).wire()
        ConversationEvents(page=page, services=services).wire(blocks)
    return blocks
