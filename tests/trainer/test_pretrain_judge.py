"""What the judges learn from: marks stand where the text differs, and nobody's documents are somebody else's."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from assistant.alignment import LAYERS
from assistant.entailment import Seen, padded
from assistant.entailment_head import FEATURES, Ensemble
from assistant.evidence import Context, Weights, words
from assistant.retrieval.embeddings import Reader
from trainer.pretrain import judge, judge_corrupt, judge_data
from trainer.pretrain.judge_data import Claim

CONTEXT = (
    "The lighthouse of Cabo Raso was built in 1894 by Ana Prates. Its lamp was lit in 1901. Rui Tavares kept it. "
    "Visitors arrived from Lisbon by boats."
)


def claim(text: str, lang: str = "en") -> Claim:
    return Claim("s", "s/1", "s/1/0", CONTEXT, text, supported=True, lang=lang, marked=True)


@pytest.mark.parametrize(
    ("text", "lang"),
    [("It was built in 1894 by Ana Prates.", "en"), ("Its lamp is old.", "en"), ("O farol é antigo.", "pt")],
)
def test_what_was_changed_is_marked(text: str, lang: str) -> None:
    rng = random.Random(0)
    made = [c for _ in range(60) if (c := judge_corrupt.corrupted(claim(text, lang), rng))]
    assert made
    for one in made:
        ((start, end),) = one.marks
        assert not one.supported
        assert one.text != text
        assert one.text[:start] == text[:start]
        assert text.endswith(one.text[end:])
        assert one.text[start:end]
    assert {one.group for one in made} == {"s/1"}


def test_a_sentence_in_another_place_is_all_unsupported() -> None:
    other = Claim("s", "s/2", "s/2/0", "Another context.", "x", supported=True, lang="en")
    (first, *_) = judge_corrupt.misplaced([claim("It was built."), other], random.Random(1))
    assert first.context != CONTEXT or first.text != "It was built."
    assert first.marks == ((0, len(first.text)),)


def test_edits_are_marked_word_by_word(tmp_path: Path) -> None:
    folder = tmp_path / "judge"
    folder.mkdir()
    rows = [
        {"id": "1_og", "context": "c", "text": "The lamp burned oil. It was old.", "supported": True, "lang": "en"},
        {"id": "1_a", "context": "c", "text": "The lamp burned gas. It was old.", "supported": False, "lang": "en"},
    ]
    (folder / "summedits_x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = [(c.text, c.supported, [c.text[a:b] for a, b in c.marks]) for c in judge_data.edits(tmp_path)]
    assert found == [
        ("The lamp burned oil.", True, []),
        ("It was old.", True, []),
        ("The lamp burned gas.", False, ["gas."]),
        ("It was old.", True, []),
    ]


def test_spans_become_sentences(tmp_path: Path) -> None:
    (tmp_path / "spans").mkdir()
    response = "The lamp burned oil. It was lit in May by nuns."
    row = {"id": "7-0", "source_id": "7", "context": "c", "response": response, "lang": "en",
           "spans": [{"start": 32, "end": 46, "type": "t"}]}  # fmt: skip
    (tmp_path / "spans" / "ragtruth_qa.jsonl").write_text(json.dumps(row))
    first, second = judge_data.spans(tmp_path)
    assert (first.supported, second.supported) == (True, False)
    assert [second.text[a:b] for a, b in second.marks] == [response[32:46]]
    assert first.answer == second.answer


def test_every_document_has_one_learner_and_a_fifth_has_none() -> None:
    sides = [judge_data.side("ragtruth_qa", str(n)) for n in range(5_000)]
    assert sides.count("held") / 5_000 == pytest.approx(0.2, abs=0.02)
    assert {"a", "b"} <= set(sides)
    assert judge_data.side("ragtruth_qa", "7") == judge_data.side("ragtruth_qa", "7")
    collections = {name: which for which, names in judge_data.SUMMEDITS.items() for name in names}
    assert len(collections) == 4


def test_a_logistic_cut_stands_between_the_kinds_however_many_there_are_of_each() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(4_000) < 0.9
    scores = np.where(truth, 3.0, 1.0) + rng.normal(size=4_000)
    assert judge.undecided([(scores, truth)]) == pytest.approx(2.0, abs=0.1)
    assert judge.undecided([(scores, truth), (scores[:100] + 1, truth[:100])]) == pytest.approx(2.5, abs=0.3)


def test_thresholds_are_the_middle_of_the_best() -> None:
    scores, truth = np.array([0.0, 1.0, 2.0, 5.0, 6.0, 7.0]), np.array([False] * 3 + [True] * 3)
    assert 2.0 < judge.threshold([[(scores, truth)], [(scores, truth)]]) <= 5.0


def test_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    network = Ensemble(2).eval()
    rng = np.random.default_rng(0)

    def seen(tokens: int) -> Seen:
        arrays = [rng.normal(size=(tokens, width)).astype(np.float32) for width in (20, 128, 128)]
        return Seen(rng.normal(size=FEATURES).astype(np.float32), *arrays)

    short, long = seen(3), seen(40)
    with torch.inference_mode():
        together = network(*padded([short, long]))
        alone = torch.cat([network(*padded([short])), network(*padded([long]))])
    assert torch.allclose(together, alone, atol=1e-5)


def test_shares_do_not_depend_on_the_length_of_a_claim() -> None:
    context = Context([CONTEXT], Weights(np.ones(1 << 15)))
    cosines = np.full(len(context.lines), 0.5, np.float32)

    def shares(text: str) -> list[float]:
        said = words(text)
        return [float(x) for x in context.features(said, context.choose(said, cosines), cosines)[:6]]

    once = "Lighthouse Tavares banana"
    assert shares(once) == pytest.approx(shares(f"{once} {once} {once}"))


def test_the_reader_gives_every_layer_of_every_token() -> None:
    (read,) = Reader(LAYERS, threads=1).read(["The lamp burned oil."])
    assert len(read.ids) == len(read.offsets) == 5
    assert {layer: vectors.shape for layer, vectors in read.layers.items()} == dict.fromkeys(LAYERS, (5, 384))
    assert np.linalg.norm(read.embedding) == pytest.approx(1, abs=1e-4)
