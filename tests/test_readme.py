"""What the README says about the project must stay true."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def modules() -> list[str]:
    files = [ROOT / "launch.py", *(ROOT / "assistant").rglob("*.py"), *(ROOT / "trainer").rglob("*.py")]
    return sorted(str(f.relative_to(ROOT)) for f in files if f.read_text().strip() and "versions" not in f.parts)


def test_the_map_has_a_line_for_every_module_and_no_other() -> None:
    mapped = re.findall(r"^\| `([\w/.]+\.py)` \|", README, re.M)
    assert sorted(mapped) == modules()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z-]+)", README))))
def test_every_make_command_exists(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    if target.startswith("bench-"):
        assert (ROOT / "tests" / "bench" / f"{target.removeprefix('bench-')}.py").exists()
    else:
        assert re.search(rf"^{target}:", makefile, re.M)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(((?!http)[^)#]+)\)", README))))
def test_every_link_leads_somewhere(path: str) -> None:
    assert (ROOT / path).exists()
