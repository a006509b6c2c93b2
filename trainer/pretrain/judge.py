"""Trains the two bundled judges from what ``judge_features`` keeps on disk.

python -m trainer.pretrain.judge --features /tmp/judge --out data/models/judge
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression
from torch.nn import functional

from assistant.alignment import LAYERS
from assistant.entailment import Calibration, soft_minimum
from assistant.entailment_head import Ensemble, Head
from assistant.retrieval.embeddings import Reader
from trainer.evaluate.labelled import auroc, balanced_accuracy
from trainer.pretrain import judge_data
from trainer.pretrain.judge_set import Set, learner, load

VERSION = 1
HEADS = 3
BATCH = 128
FOLDS = 5
SOFTNESS = 0.8
"""Of the soft minimum over an answer's sentences: chosen by cross-validation, see docs/decisions.md."""

FIELDS = 0.1
"""How much a sentence about JSON fields counts in teaching: judge A has five times as many of them as of others."""

_ANSWERS = ("ragtruth_qa", "ragtruth_summary")
"""Of these kinds answers are chat answers most alike: they rest on prose."""
_PAIRS = (
    "assin",
    "SNLI-test",
    "SNLI-validation",
    "FoolMeTwice-test",
    "FoolMeTwice-dev",
    "InferBR-train",
    "InferBR-test",
)

Floats = npt.NDArray[np.float64]
Indexes = npt.NDArray[np.int64]


def train(head: Head, data: Set, chances: Floats, *, steps: int, rate: float, seed: int) -> None:
    """Steps of AdamW on claims drawn by ``chances``; sentences and, where they are known, tokens count."""
    optimiser = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    head.train()
    for indexes in islice(_batches(data, chances / chances.sum(), np.random.default_rng(seed)), steps):
        inputs, labels, supported = data.batch(indexes)
        logits, tokens = head(*inputs)
        loss = functional.binary_cross_entropy_with_logits(logits, supported)
        known = labels >= 0
        if known.any():
            weight = torch.tensor(2.0)  # most tokens are supported
            loss = loss + 0.5 * functional.binary_cross_entropy_with_logits(
                tokens[known], labels[known].float(), pos_weight=weight
            )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    head.eval()


def _batches(data: Set, chances: Floats, rng: np.random.Generator) -> Iterator[Indexes]:
    """Endlessly; claims of like length come together, which halves the padding."""
    lengths = np.diff(data.offsets)
    while True:
        drawn = rng.choice(len(chances), BATCH * 8, p=chances)
        batches = drawn[np.argsort(lengths[drawn], kind="stable")].reshape(8, BATCH)
        yield from rng.permutation(batches)


@torch.inference_mode()
def logits(model: Head | Ensemble, data: Set, indexes: Indexes) -> Floats:
    parts = []
    for part in np.array_split(indexes, max(1, len(indexes) // 256)):
        found = model(*data.batch(part)[0])
        parts.append((found if isinstance(model, Ensemble) else found[0]).numpy())
    return np.concatenate(parts).astype(np.float64)


def general_chances(data: Set, own: npt.NDArray[np.bool_]) -> Floats:
    """For the first stage: all but RAGTruth, each collection's two kinds up to 1,000 claims' worth each."""
    kinds = [(row["source"], row["supported"]) for row in data.rows]
    counts = Counter(kinds)
    chances = np.array([min(1.0, 1_000 / counts[kind]) for kind in kinds])
    return chances * (own & ~_ragtruth(data) & ~_aside(data))


def answer_chances(data: Set, own: npt.NDArray[np.bool_]) -> Floats:
    """For the second stage: RAGTruth's sentences, with a sixth of everything else so that nothing is unlearnt."""
    supported = np.array([row["supported"] for row in data.rows])
    fields = np.array([row["source"] == "ragtruth_data2txt" for row in data.rows])
    chances = (own & real_answers(data)) * np.where(supported, 1.0, 5.0) * np.where(fields, FIELDS, 1.0)
    general = general_chances(data, own)
    return np.asarray(0.85 * chances / chances.sum() + 0.15 * general / general.sum(), np.float64)


def _aside(data: Set) -> npt.NDArray[np.bool_]:
    """Entailment pairs that are not learnt from: with them the thresholds are chosen."""
    return np.array([row["source"] in _PAIRS and judge_data.share(f"aside/{row['group']}") < 0.15 for row in data.rows])


def _ragtruth(data: Set) -> npt.NDArray[np.bool_]:
    return np.array([row["source"].startswith("ragtruth") for row in data.rows])


def regression(data: Set, indexes: Indexes, model: Ensemble) -> None:
    """Fits the ensemble's logistic regression on RAGTruth's sentences: supported and unsupported ones of each source
    weigh the same.
    """
    model.normal.fit(torch.from_numpy(data.features[indexes]))
    features = model.normal(torch.from_numpy(data.features[indexes])).numpy()
    supported = np.array([data.rows[i]["supported"] for i in indexes])
    kinds = [(data.rows[i]["source"], data.rows[i]["supported"]) for i in indexes]
    counts = Counter(kinds)
    weights = [len(kinds) / len(counts) / counts[kind] for kind in kinds]
    fitted = LogisticRegression(C=0.03, max_iter=1_000).fit(features, supported, sample_weight=weights)
    with torch.no_grad():
        model.linear.weight.copy_(torch.from_numpy(fitted.coef_))
        model.linear.bias.copy_(torch.from_numpy(fitted.intercept_))


def general_heads(data: Set, own: npt.NDArray[np.bool_], steps: int) -> list[Head]:
    heads = []
    chances = general_chances(data, own)
    for seed in range(HEADS):
        torch.manual_seed(seed)
        head = Head(dropout=0.2)
        head.normal.fit(torch.from_numpy(data.features[own]))
        train(head, data, chances, steps=steps, rate=2e-3, seed=seed)
        heads.append(head)
    return heads


def ensemble(data: Set, own: npt.NDArray[np.bool_], general: Sequence[Head], steps: int) -> Ensemble:
    """Copies of ``general`` taught RAGTruth's sentences among ``own``, with a regression on them."""
    model = Ensemble(len(general))
    for seed, (into, head) in enumerate(zip(model.heads, general, strict=True)):
        taught = copy.deepcopy(head)
        train(taught, data, answer_chances(data, own), steps=steps, rate=1e-3, seed=seed)
        into.load_state_dict(taught.state_dict())
    regression(data, np.flatnonzero(own & real_answers(data)), model)
    return model.eval()


def real_answers(data: Set) -> npt.NDArray[np.bool_]:
    return np.array([row["source"] in ("ragtruth_qa", "ragtruth_summary", "ragtruth_data2txt") for row in data.rows])


def out_of_fold(data: Set, own: npt.NDArray[np.bool_], general: Sequence[Head], steps: int) -> tuple[Indexes, Floats]:
    """Logits of the judge's own RAGTruth sentences, each from an ensemble that saw nothing of its document."""
    fold = np.array([int(FOLDS * judge_data.share(f"fold/{row['group']}")) for row in data.rows])
    found = np.zeros(len(data.rows))
    for number in range(FOLDS):
        model = ensemble(data, own & (fold != number), general, steps)
        indexes = np.flatnonzero(own & real_answers(data) & (fold == number))
        found[indexes] = logits(model, data, indexes)
    indexes = np.flatnonzero(own & real_answers(data))
    return indexes, found[indexes]


def answers(data: Set, indexes: Indexes, of: Floats) -> tuple[list[str], Floats, npt.NDArray[np.bool_]]:
    """Source, soft minimum and truth of each whole answer."""
    groups: dict[str, list[int]] = {}
    for position, i in enumerate(indexes):
        groups.setdefault(data.rows[i]["answer"], []).append(position)
    sources = [name.split("/")[0] for name in groups]
    scores = np.array([soft_minimum(of[positions], SOFTNESS) for positions in groups.values()])
    truth = np.array([all(data.rows[indexes[p]]["supported"] for p in positions) for positions in groups.values()])
    return sources, scores, truth


def calibration(scores: Floats, truth: npt.NDArray[np.bool_]) -> Calibration:
    """By maximum likelihood."""
    fitted = LogisticRegression(C=1e6).fit(scores[:, None], truth)
    return Calibration(float(fitted.coef_[0, 0]), float(fitted.intercept_[0]))


Scored = Sequence[tuple[Floats, npt.NDArray[np.bool_]]]


def threshold(kinds: Sequence[Scored]) -> float:
    """Where the mean balanced accuracy is best: the middle of those within half a point.

    All ``kinds`` of text weigh the same, and so do the collections within each.
    """
    everything = np.concatenate([scores for kind in kinds for scores, _ in kind])
    grid = np.quantile(everything, np.linspace(0.02, 0.98, 193))

    def mean(cut: float) -> float:
        of = [[balanced_accuracy(truth, scores >= cut) for scores, truth in kind] for kind in kinds]
        return float(np.mean([np.mean(kind) for kind in of]))

    means = np.array([mean(cut) for cut in grid])
    return float(np.median(grid[means >= means.max() - 0.005]))


def undecided(parts: Scored) -> float:
    """Where a logistic fit says one half. All parts weigh the same, and so do both kinds in each.

    Of few answers it finds a better cut for others than the best on a grid does, which follows every chance.
    """
    scores, truth = np.concatenate([s for s, _ in parts]), np.concatenate([t for _, t in parts])
    weights = [np.where(t, 0.5 / t.mean(), 0.5 / (1 - t.mean())) / len(t) for _, t in parts]
    fitted = LogisticRegression(C=1e6).fit(scores[:, None], truth, sample_weight=len(truth) * np.concatenate(weights))
    return float(-fitted.intercept_[0] / fitted.coef_[0, 0])


def settle(data: Set, indexes: Indexes, of: Floats, pairs: Scored) -> dict[str, Any]:
    """Calibrations, thresholds and cross-validated figures, from logits of claims that the networks did not see.

    ``pairs``: logits and truth of single sentences of other kinds, which the threshold of sentences is to suit too.
    """
    truth = np.array([data.rows[i]["supported"] for i in indexes])
    source = np.array([data.rows[i]["source"] for i in indexes])
    prose = np.isin(source, _ANSWERS)
    sentence = calibration(of[prose], truth[prose])
    parts = [(of[source == name], truth[source == name]) for name in _ANSWERS if (source == name).any()]
    sources, scores, whole = answers(data, indexes, of)
    kind = np.array(sources)
    held = np.isin(kind, _ANSWERS)
    answer = calibration(scores[held], whole[held])
    cut = undecided([(scores[kind == name], whole[kind == name]) for name in _ANSWERS])
    figures = {
        name: {
            "balanced_accuracy": round(balanced_accuracy(whole[kind == name], scores[kind == name] >= cut), 4),
            "auroc": round(auroc(whole[kind == name], scores[kind == name]), 4),
            "answers": int((kind == name).sum()),
        }
        for name in sorted(set(sources))
    }
    return {
        "softness": SOFTNESS,
        "sentence_calibration": {"slope": sentence.slope, "intercept": sentence.intercept},
        "answer_calibration": {"slope": answer.slope, "intercept": answer.intercept},
        "threshold": sentence(threshold([parts, pairs])),
        "answer_threshold": answer(cut),
        "cross_validated": figures,
    }


def _pairs(data: Set, own: npt.NDArray[np.bool_], model: Ensemble) -> Scored:
    source, aside = np.array([row["source"] for row in data.rows]), own & _aside(data)
    found = []
    for name in _PAIRS:
        indexes = np.flatnonzero(aside & (source == name))
        if len(indexes) >= 50:
            truth = np.array([bool(data.rows[i]["supported"]) for i in indexes])
            found.append((logits(model, data, indexes), truth))
    return found


def make(which: str, features: Path, out: Path, *, general_steps: int, answer_steps: int) -> None:
    began = time.monotonic()
    data = load(features, ("spans", "edits", "pairs", "corrupted"))
    own = np.array([learner(row) == which for row in data.rows])
    general = general_heads(data, own, general_steps)
    print(f"{which}: general heads after {time.monotonic() - began:.0f} s", flush=True)
    indexes, of = out_of_fold(data, own, general, answer_steps)
    model = ensemble(data, own, general, answer_steps)
    settled = settle(data, indexes, of, _pairs(data, own, model))
    print(f"{which}: {json.dumps(settled)}, {time.monotonic() - began:.0f} s", flush=True)
    folder = out / which
    folder.mkdir(parents=True, exist_ok=True)
    base = load_file(features / "base.safetensors")
    base["weights"] = base["weights"].half()
    save_file(
        base | {name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors"
    )
    learnt = Counter(row["source"] for row, mine in zip(data.rows, own, strict=True) if mine)
    config = {"name": f"judge-{which}", "version": VERSION, "encoder": Reader(LAYERS).name, "heads": HEADS, **settled}
    config["claims"] = dict(sorted(learnt.items()))
    (folder / "config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{which}: written after {time.monotonic() - began:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("data/models/judge"))
    parser.add_argument("--which", choices=("a", "b"))
    parser.add_argument("--general-steps", type=int, default=1_000)
    parser.add_argument("--answer-steps", type=int, default=200)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for which in [given.which] if given.which else ["b", "a"]:
        make(which, given.features, given.out, general_steps=given.general_steps, answer_steps=given.answer_steps)


if __name__ == "__main__":
    main()
