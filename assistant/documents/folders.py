"""Which files of a folder can be documents, and which are gone."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

SUFFIXES = frozenset(".txt .text .md .markdown .rst .html .htm .xhtml .pdf .docx .pptx .xlsx .csv .tsv .epub".split())
"""What a folder is searched for, in lower case."""


@dataclass(slots=True)
class Listing:
    """The ``files`` below a folder by name (their path in it, with slashes), how many others there are, and what could
    not be listed as (name, reason)."""

    files: dict[str, Path] = field(default_factory=dict)
    skipped: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


def listed(root: Path) -> Listing:
    """All files below ``root``, or ``root`` itself, whatever its suffix, if it is a file.

    Skips hidden files and folders, other suffixes, and links that lead out of the folder.
    """
    listing = Listing()
    if root.is_file():
        listing.files[root.name] = root
        return listing

    def unreadable(error: OSError) -> None:
        listing.failed.append((str(error.filename), f"The folder cannot be read: {error.strerror}."))

    for folder, folders, names in os.walk(root, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if (
                name.startswith(".")
                or path.suffix.lower() not in SUFFIXES
                or not path.is_file()
                or not _within(path, root)
            ):
                listing.skipped += 1
            elif not _is_text(str(path)):
                listing.failed.append((ascii(name), "Its name is not in UTF-8. Rename it."))
            else:
                listing.files[path.relative_to(root).as_posix()] = path
    return listing


def is_gone(path: str) -> bool:
    """Whether there is certainly no file: not being allowed to look is no proof."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _within(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root)


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
