from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from assistant.engines.base import Sampling
from assistant.engines.generation import TextPieces, batches, generate_batch
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


def test_a_batch_says_what_each_prompt_alone_would(tiny: Path) -> None:
    """Prompts of very different lengths; an end that some reach early, some late and some never."""
    model = AutoModelForCausalLM.from_pretrained(tiny).eval()
    sampling = Sampling(max_tokens=30)
    prompts = [[7 + place % 500 for place in range(length)] for length in (3, 40, 700, 1, 1100, 41)]
    endless = [list(generate_batch(model, [prompt], sampling, ends=frozenset()))[-1][0] for prompt in prompts]
    ends = frozenset({endless[0][3], endless[1][20]})
    alone = [list(generate_batch(model, [prompt], sampling, ends=ends))[-1][0] for prompt in prompts]
    lengths = {len(answer) for answer in alone}
    assert len(lengths) > 2
    assert max(lengths) == 30
    steps = generate_batch(model, prompts, sampling, ends=ends)
    assert [*steps][-1] == alone


def test_batches_hold_everything_once_and_fit_the_memory() -> None:
    prompts = [[1] * length for length in (10, 15_000, 20_000, 3000, 2900, 3100, 12, 11)]
    made = batches(prompts, answer=100)
    assert sorted(place for batch in made for place in batch) == list(range(len(prompts)))
    assert made[0] == [2], "one that is too long for any batch has one of its own"
    for batch in made[1:]:
        assert len(batch) * (max(len(prompts[place]) for place in batch) + 100) <= 16_384
    assert len(made) == 4
    assert batches([], answer=100) == []
