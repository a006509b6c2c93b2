"""The widgets of the page and where they stand. What they do is wired in the modules beside this one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from assistant.ui import answers, render, words

_FOLDER = Path(__file__).parent
CSS = _FOLDER / "style.css"
SCRIPT = _FOLDER / "page.js"
MARK = _FOLDER / "mark.svg"

CHAT_EVENTS = ("cite", "rate", "detail", "retry", "edit", "example", "forget")
NOTICE_EVENTS = ("cancel_edit", "ask_all")
DOCUMENT_EVENTS = ("choose", "read_again", "remove", "uploaded")
CONVERSATION_EVENTS = ("open", "rename", "delete")

REMEMBER = "(id) => history.replaceState(null, '', id ? '?conversation=' + encodeURIComponent(id) : location.pathname)"
"""Puts the conversation's id into the page's address, so that a reload or a bookmark comes back to it."""

WATCH_SECONDS = 1.0
"""How often the page looks at the documents while some are being read; otherwise every ``IDLE_SECONDS``."""
IDLE_SECONDS = 5.0


@dataclass(frozen=True)
class Page:
    """The widgets. ``conversation``, ``editing`` and ``chosen`` are not shown: ids that the browser holds.

    They come back from the browser with each event, so they are only ever looked up among what is the person's own.
    """

    new: gr.Button
    search: gr.Textbox
    conversations: gr.HTML
    transcript: gr.HTML
    live: gr.HTML
    notice: gr.HTML
    question: gr.Textbox
    send: gr.Button
    stop: gr.Button
    source: gr.HTML
    documents: gr.HTML
    conversation: gr.Textbox
    editing: gr.Textbox
    chosen: gr.JSON
    clock: gr.Timer


def build() -> Page:
    """Lays the page out, in the Blocks that are open."""
    gr.HTML(render.header(), elem_id="header", js_on_load=None, apply_default_css=False)
    gr.HTML(render.dialog(), elem_id="overlays", js_on_load=None, apply_default_css=False)
    with gr.Row(elem_id="workspace", equal_height=True):
        with gr.Column(elem_id="conversations", min_width=0):
            new = gr.Button(words.NEW_CONVERSATION, elem_id="new", size="md")
            search = _textbox("search", words.SEARCH_CONVERSATIONS, words.SEARCH_CONVERSATIONS)
            conversations = _html("conversation-list", CONVERSATION_EVENTS)
        with gr.Column(elem_id="chat", min_width=0):
            with gr.Column(elem_id="thread", min_width=0):
                transcript = _html("transcript", CHAT_EVENTS)
                live = _html("live", ())
            with gr.Column(elem_id="composer", min_width=0):
                notice = _html("notice", NOTICE_EVENTS)
                with gr.Row(elem_id="ask", equal_height=False):
                    question = _textbox("question", words.QUESTION_LABEL, words.QUESTION_HINT, max_lines=8)
                    send = gr.Button(words.SEND, elem_id="send", variant="primary", min_width=0, scale=0)
                    stop = gr.Button(words.STOP, elem_id="stop", visible=False, min_width=0, scale=0)
                gr.HTML(words.FOOTNOTE, elem_id="footnote", js_on_load=None, apply_default_css=False)
        with gr.Column(elem_id="panel", min_width=0):
            source = gr.HTML(answers.no_source(), elem_id="source", js_on_load=None, apply_default_css=False)
            with gr.Column(elem_id="documents", min_width=0):
                title = render.panel_title(words.DOCUMENTS, "documents")
                gr.HTML(title, elem_id="documents-title", js_on_load=None, apply_default_css=False)
                gr.HTML(render.upload(), elem_id="upload", js_on_load=None, apply_default_css=False)
                documents = _html("document-list", DOCUMENT_EVENTS)
    return Page(
        new=new,
        search=search,
        conversations=conversations,
        transcript=transcript,
        live=live,
        notice=notice,
        question=question,
        send=send,
        stop=stop,
        source=source,
        documents=documents,
        conversation=gr.Textbox(visible=False),
        editing=gr.Textbox(visible=False),
        chosen=gr.JSON([], visible=False),
        clock=gr.Timer(WATCH_SECONDS),
    )


def theme() -> gr.themes.Base:
    """Gradio's plain theme with fonts of the reader's own system: the default ones come from a stranger's server."""
    return gr.themes.Base(
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "monospace"],
    )


def _textbox(elem_id: str, label: str, hint: str, *, max_lines: int = 1) -> gr.Textbox:
    return gr.Textbox(
        elem_id=elem_id, label=label, placeholder=hint, lines=1, max_lines=max_lines, container=False, min_width=0
    )


def _html(elem_id: str, events: tuple[str, ...]) -> gr.HTML:
    """HTML whose elements with ``data-event`` send that event, with all their data, when they are clicked."""
    names = ", ".join(f'"{event}"' for event in events)
    script = f"""
        const names = [{names}];
        const send = (data) => names.includes(data.event) && trigger(data.event, data);
        element.addEventListener("fiel", (event) => send(event.detail));
        element.addEventListener("click", (event) => {{
            const button = event.target.closest("button[data-event]");
            if (button && !("confirm" in button.dataset) && !("prompt" in button.dataset)) send({{...button.dataset}});
        }});
    """
    return gr.HTML("", elem_id=elem_id, js_on_load=script, apply_default_css=False)
