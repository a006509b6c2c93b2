import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from assistant import settings
from assistant.errors import SettingsError

DOCUMENTED = Path(settings.ROOT / "docs" / "settings.md")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("fiel.toml").write_text("port = 1000\n[retrieval]\nwindow = 7\npassages = 6\n")
    monkeypatch.setenv("FIEL_RETRIEVAL__WINDOW", "9")
    loaded = settings.load(port=2000)
    assert (loaded.port, loaded.retrieval.window, loaded.retrieval.passages) == (2000, 9, 6)


def test_all_problems_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIEL_PORT", "99999")
    monkeypatch.setenv("FIEL_RETRIEVAL__WINDOW", "none")
    Path("fiel.toml").write_text("colour = 'red'\n")
    with pytest.raises(SettingsError) as caught:
        settings.load()
    for name in ("port", "retrieval.window", "colour"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("10.1.2.3", False)],
)
def test_it_knows_who_can_reach_it(host: str, local: bool) -> None:
    assert settings.load(host=host).on_loopback is local


def test_a_broken_file_is_a_clear_error() -> None:
    Path("fiel.toml").write_text("port = = 1")
    with pytest.raises(SettingsError, match=re.escape("fiel.toml")):
        settings.load()


def names(model: type[BaseModel], prefix: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found += names(kind, f"{prefix}{name}.")
        else:
            found.append(prefix + name)
    return found


def test_every_setting_is_documented_and_no_other() -> None:
    listed = re.findall(r"^\| `([a-z_.]+)` ", DOCUMENTED.read_text(), re.M)
    assert sorted(listed) == sorted(names(settings.Settings))
