"""The few drawings of the pages: inline SVG, 24 units wide, drawn in the colour of the text."""

from __future__ import annotations

from markupsafe import Markup


def _icon(path: str) -> Markup:
    return Markup(  # noqa: S704  (the paths below, no data)
        '<svg class="icon" viewBox="0 0 24 24" width="18" height="18" fill="none" stroke="currentColor" '
        'stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">'
        f"{path}</svg>"
    )


MARK = _icon(
    '<path d="M8 4H5.5A1.5 1.5 0 0 0 4 5.5v13A1.5 1.5 0 0 0 5.5 20H8M16 4h2.5A1.5 1.5 0 0 1 20 5.5v13a1.5 1.5 0 0 1'
    '-1.5 1.5H16" stroke-width="2.25"/><circle cx="12" cy="12" r="2.75" fill="currentColor" stroke="none"/>'
)
MENU = _icon('<rect x="3.5" y="4.5" width="17" height="15" rx="3"/><path d="M9.5 4.5v15"/>')
DOCUMENTS = _icon('<path d="M14 3.5H7.5a2 2 0 0 0-2 2v13a2 2 0 0 0 2 2h9a2 2 0 0 0 2-2V8zM14 3.5V8h4.5"/>')
THEME = _icon('<circle cx="12" cy="12" r="8.25"/><path d="M12 3.75a8.25 8.25 0 0 1 0 16.5z" fill="currentColor"/>')
PERSON = _icon('<circle cx="12" cy="8.5" r="4"/><path d="M4.5 20a7.5 7.5 0 0 1 15 0"/>')
CLOSE = _icon('<path d="M6 6l12 12M18 6L6 18"/>')
UP = _icon(
    '<path d="M7 10.5v9M7 10.5l4-7a2.4 2.4 0 0 1 2.2 3l-.8 3.5h5.2a2 2 0 0 1 2 2.4l-1.2 5.5a2 2 0 0 1-2 1.6H4.5'
    'a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1z"/>'
)
DOWN = _icon(
    '<path d="M17 13.5v-9M17 13.5l-4 7a2.4 2.4 0 0 1-2.2-3l.8-3.5H6.4a2 2 0 0 1-2-2.4l1.2-5.5a2 2 0 0 1 2-1.6h11.9'
    'a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1z"/>'
)
COPY = _icon(
    '<rect x="8.5" y="8.5" width="12" height="12" rx="2"/>'
    '<path d="M15.5 5.5V5A1.5 1.5 0 0 0 14 3.5H5A1.5 1.5 0 0 0 3.5 5v9A1.5 1.5 0 0 0 5 15.5h.5"/>'
)
RETRY = _icon('<path d="M4 12a8 8 0 1 0 2.6-5.9"/><path d="M4 4.5v4h4"/>')
EDIT = _icon('<path d="M4 20l.9-4L16.6 4.3a1.5 1.5 0 0 1 2.1 0l1 1a1.5 1.5 0 0 1 0 2.1L8 19.1z"/>')
TRASH = _icon(
    '<path d="M4.5 7h15M9.5 7V5a1 1 0 0 1 1-1h3a1 1 0 0 1 1 1v2"/>'
    '<path d="M6.5 7l.8 11.6a1.5 1.5 0 0 0 1.5 1.4h6.4a1.5 1.5 0 0 0 1.5-1.4L17.5 7"/>'
)
CHECK = _icon('<path d="M5 12.5l4.5 4.5L19 7.5" stroke-width="2.5"/>')
MORE = _icon('<path d="M5.5 12h.01M12 12h.01M18.5 12h.01" stroke-width="2.75"/>')
OUT = _icon(
    '<path d="M13.5 4.5h6v6M19.5 4.5L11 13"/>'
    '<path d="M17 14v4a1.5 1.5 0 0 1-1.5 1.5H6A1.5 1.5 0 0 1 4.5 18V8.5A1.5 1.5 0 0 1 6 7h4"/>'
)
PLUS = _icon('<path d="M12 5v14M5 12h14"/>')
SPARK = _icon('<path d="M12 4l1.8 5.2L19 11l-5.2 1.8L12 18l-1.8-5.2L5 11l5.2-1.8z"/>')
