"""A passage that is JSON → sentences, so that a claim in words can be laid beside its fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_SHORT = 160
"""Characters of a value that stands beside others in one sentence."""
_JOINT = re.compile(r"_+|(?<=[a-z])(?=[A-Z])")


def told(passage: str) -> list[str] | None:
    """The fields of a JSON object or array in words, a text for each; None for any other passage."""
    if passage.lstrip()[:1] not in ("{", "["):
        return None
    try:
        value = json.loads(passage)
    except (ValueError, RecursionError):
        return None
    try:
        return list(_texts("", value)) if isinstance(value, dict | list) else None
    except RecursionError:
        return None


def _texts(path: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value and path and all(_is_short(part) for part in value.values()):
        yield f"{path}: {', '.join(f'{_name(key)} {_said(part)}' for key, part in value.items())}."
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _texts(f"{path} {_name(key)}".strip(), part)
    elif isinstance(value, list) and value and all(_is_short(part) for part in value):
        yield f"{path}: {', '.join(map(_said, value))}.".removeprefix(": ")
    elif isinstance(value, list):
        for part in value:
            yield from _texts(path, part)
    elif _is_short(value):
        yield f"{path}: {_said(value)}.".removeprefix(": ")
    else:
        yield str(value)


def _is_short(value: Any) -> bool:
    return not isinstance(value, dict | list) and len(str(value)) <= _SHORT


def _name(key: str) -> str:
    return _JOINT.sub(" ", key).strip()


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value is None else str(value)
