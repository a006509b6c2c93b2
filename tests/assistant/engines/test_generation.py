from __future__ import annotations

import pytest
from transformers import AutoTokenizer

from assistant.engines.generation import TextPieces
from assistant.engines.local import STARTER


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(STARTER)


@pytest.mark.parametrize(
    "text", ["Olá, João!", "日本語 and 한국어", "👩‍👩‍👧 family 🇵🇹", " leading", "a  b\n\n\tc", "naïve — “quoted” …"]
)
def test_pieces_are_whole_characters_and_join_to_the_text(tokenizer, text: str) -> None:
    pieces = TextPieces(tokenizer.decode)
    given = [pieces.add(token) for token in tokenizer.encode(text)]
    assert "".join(given) + pieces.rest() == text
    assert not any("\ufffd" in piece for piece in given)


def test_a_character_that_is_cut_off_is_not_shown(tokenizer) -> None:
    tokens = tokenizer.encode("ok 日")
    assert tokenizer.decode(tokens[:-1]).endswith("\ufffd"), "the character is spread over several tokens"
    pieces = TextPieces(tokenizer.decode)
    assert "".join(map(pieces.add, tokens[:-1])) + pieces.rest() == "ok "


def test_bytes_that_are_no_text_hold_nothing_back(tokenizer) -> None:
    broken = tokenizer.encode("日")[0]
    pieces = TextPieces(tokenizer.decode)
    shown = "".join(map(pieces.add, [*tokenizer.encode("a"), broken, broken, *tokenizer.encode("b c")]))
    assert shown.startswith("a")
    assert shown.endswith("b c")
