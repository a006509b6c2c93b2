"""How the pages make HTML: every piece is a Markup template, which escapes all that is put into it.

Nothing here or in the modules that use it joins plain strings to HTML, so text from documents, people and models can
only ever be text. ``gr.HTML`` must show such a value by its ``${value}`` template, which inserts it as it is: what
``{{value}}`` inserts is evaluated as JavaScript.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from assistant.ui import icons, words

NOTHING = Markup("")


def joined(pieces: Iterable[Markup]) -> Markup:
    return NOTHING.join(pieces)


def data(**values: object) -> Markup:
    """``data-…`` attributes, with a space before each."""
    return joined(Markup(' data-{}="{}"').format(name, value) for name, value in values.items())


def icon_button(event: str, label: str, icon: Markup, *, pressed: bool | None = None, **values: object) -> Markup:
    """A button that sends ``event`` with ``values`` to its component; ``pressed`` makes it a toggle."""
    state = NOTHING if pressed is None else Markup(' aria-pressed="{}"').format("true" if pressed else "false")
    return Markup('<button type="button" class="icon-button" title="{}" aria-label="{}"{}{}>{}</button>').format(
        label, label, state, data(event=event, **values), icon
    )


def message(text: object) -> str:
    """A text, or an error's, as the toasts take it, which would render it as HTML."""
    return str(escape(words.told(text)))


def header() -> Markup:
    return Markup(
        '<button type="button" class="icon-button" data-toggle="conversations" title="{conversations}" '
        'aria-label="{conversations}" aria-expanded="false" aria-controls="conversations">{menu}</button>'
        '<h1 class="brand">{mark}<span>{name}</span></h1>'
        '<button type="button" class="text-button" data-toggle="documents" aria-expanded="false" '
        'aria-controls="panel">{icon}<span>{documents}</span></button>'
        '<button type="button" class="icon-button" data-toggle="theme" title="{theme}" aria-label="{theme}">{moon}'
        '</button><a class="icon-button" href="/account" title="{account}" aria-label="{account}">{person}</a>'
    ).format(
        conversations=words.SHOW_CONVERSATIONS,
        menu=icons.MENU,
        mark=icons.MARK,
        name=words.NAME,
        icon=icons.DOCUMENTS,
        documents=words.SHOW_DOCUMENTS,
        theme=words.SWITCH_THEME,
        moon=icons.THEME,
        account=words.ACCOUNT,
        person=icons.PERSON,
    )


def dialog() -> Markup:
    """The one dialog, which the script fills: a question to confirm, or one line to type."""
    return Markup(
        '<dialog id="dialog" aria-labelledby="dialog-text"><form method="dialog"><p id="dialog-text"></p>'
        '<input type="text" maxlength="80" aria-labelledby="dialog-text" autocomplete="off"><menu>'
        '<button type="button" class="text-button" data-toggle="dialog">{}</button>'
        '<button type="submit" value="ok" class="text-button primary">{}</button></menu></form></dialog>'
        '<div id="drop" aria-hidden="true"><p>{}</p></div><div id="shade" aria-hidden="true"></div>'
    ).format(words.CANCEL, words.CONFIRM, words.DROP_HERE)


def upload() -> Markup:
    """Where files are chosen; the script sends them to the API, since what goes through Gradio is anybody's to read."""
    return Markup(
        '<label class="upload" data-failed="{}"><input type="file" multiple>{}<span>{}</span></label>'
    ).format(words.CHANGE_FAILED, icons.PLUS, words.UPLOAD_LABEL)


def panel_title(title: str, closes: str) -> Markup:
    return Markup(
        '<div class="panel-title"><h2 tabindex="-1">{}</h2><button type="button" class="icon-button" title="{}" '
        'aria-label="{}" data-toggle="{}">{}</button></div>'
    ).format(title, words.CLOSE, words.CLOSE, closes, icons.CLOSE)


def welcome(*, documents: int, examples: Sequence[str]) -> Markup:
    """What an empty conversation shows; the examples are about the sample documents, which the first click adds."""
    starts = []
    if documents == 0:
        starts.append(_start(Markup(' data-toggle="files"'), icons.PLUS, words.ADD_FILES, words.ADD_FILES_TEXT))
        if examples:
            sample = data(event="example", index=0)
            starts.append(_start(sample, icons.SPARK, words.TRY_SAMPLES, words.TRY_SAMPLES_TEXT))
    asked = joined(
        Markup('<li><button type="button" class="example"{}>{}</button></li>').format(
            data(event="example", index=index), question
        )
        for index, question in enumerate(examples)
    )
    return Markup('<section class="welcome"><h2>{}</h2><p>{}</p>{}{}</section>').format(
        words.WELCOME,
        words.WELCOME_TEXT,
        Markup('<div class="starts">{}</div>').format(joined(starts)) if starts else NOTHING,
        Markup("<h3>{}</h3><ul>{}</ul>").format(words.EXAMPLES, asked) if asked else NOTHING,
    )


def _start(does: Markup, icon: Markup, title: str, text: str) -> Markup:
    return Markup('<button type="button" class="start"{}>{}<strong>{}</strong><span>{}</span></button>').format(
        does, icon, title, text
    )


def notice(*, waiting: str, unread: int, chosen: int, editing: bool) -> Markup:
    """What stands above the question box: why questions wait, what is still being read, what the question is limited
    to, what is edited."""
    lines = [(words.told(waiting), "", "")] if waiting else []
    if editing:
        lines.append((words.EDITING, words.CANCEL, "cancel_edit"))
    if unread:
        lines.append((words.counted(words.BEING_READ, unread), "", ""))
    if chosen:
        lines.append((words.counted(words.ASKING_CHOSEN, chosen), words.ASK_ALL, "ask_all"))
    return joined(
        Markup("<p><span>{}</span>{}</p>").format(
            text,
            Markup('<button type="button" class="link-button"{}>{}</button>').format(data(event=event), label)
            if event
            else NOTHING,
        )
        for text, label, event in lines
    )
