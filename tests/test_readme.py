"""What the README and the guides say about the project must stay true."""

import re
import shlex
from pathlib import Path

import pytest

from assistant import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = {page: page.read_text() for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}


def found(pattern: str) -> list[tuple[Path, str]]:
    """What the pages say, with the folder that they say it in."""
    return sorted({(page.parent, match) for page, text in PAGES.items() for match in re.findall(pattern, text, re.M)})


def modules() -> list[str]:
    files = [ROOT / "launch.py", *(ROOT / "assistant").rglob("*.py"), *(ROOT / "trainer").rglob("*.py")]
    return sorted(str(f.relative_to(ROOT)) for f in files if f.read_text().strip() and "versions" not in f.parts)


def test_the_map_has_a_line_for_every_module_and_no_other() -> None:
    mapped = re.findall(r"^\| `([\w/.]+\.py)` \|", README, re.M)
    assert sorted(mapped) == modules()


@pytest.mark.parametrize("target", sorted({target for _, target in found(r"`make ([a-z-]+)")}))
def test_every_make_command_exists(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    if target.startswith("bench-"):
        assert (ROOT / "tests" / "bench" / f"{target.removeprefix('bench-')}.py").exists()
    else:
        assert re.search(rf"^{target}:", makefile, re.M)


@pytest.mark.parametrize(("folder", "path"), found(r"\]\(((?!http)[^)#]+)(?:#[^)]*)?\)"))
def test_every_link_leads_somewhere(folder: Path, path: str) -> None:
    assert (folder / path).exists()


@pytest.mark.parametrize(
    "command", sorted({command for _, command in found(r"^\.venv/bin/python launch\.py([^#>\n]*)")})
)
def test_every_command_line_is_understood(command: str) -> None:
    assert cli.parse(shlex.split(command))
