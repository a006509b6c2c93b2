"""Lays a claim beside its evidence word by word, in the vectors of the bundled encoder's inner layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from assistant.evidence import Weights, is_negation, is_stop, stem_of
from assistant.retrieval.embeddings import Reading

Floats = npt.NDArray[np.float32]

LAYERS = (0, 2, 4, 6)
"""Layers whose cosines are looked at; the words are paired by those of ``PAIRED``."""
PAIRED = 4
WIDTH = 128
"""Dimensions that the vectors are projected to."""
SHARPNESS = 20.0
"""Inverse temperature of the soft pairing."""

NAMES = (
    "nearest0 nearest2 nearest4 nearest6 paired0 paired2 paired6 gap same_piece stem_there weight number capital stop "
    "negation follows followed piece sentence_share main_sentence"
).split()
"""What ``align`` says of each token beside the two projected vectors, in order."""

SUMMARY = (
    *(f"{kind}{layer}" for layer in LAYERS for kind in ("mean", "lowest", "worst")),
    *"paired0 paired2 main_share follows main_sentence same_piece".split(),
)
"""What ``summary`` says of a claim, in order."""


class Projection:
    """Centres the vectors of layer PAIRED and projects them on their WIDTH main directions."""

    def __init__(self, mean: Floats, directions: Floats) -> None:
        """``mean`` (layers, dim), in the order of LAYERS; ``directions`` (dim, WIDTH)."""
        self.mean = mean
        self.directions = directions

    def unit(self, layer: int, vectors: Floats) -> Floats:
        """Centred vectors of length 1."""
        centred = vectors - self.mean[LAYERS.index(layer)]
        norms = np.linalg.norm(centred, axis=1, keepdims=True)
        return np.asarray(centred / np.maximum(norms, 1e-6), np.float32)


def align(
    claim: str,
    read: Reading,
    evidence: Sequence[Reading],
    *,
    stems: frozenset[str],
    weights: Weights,
    by: Projection,
) -> tuple[Floats, Floats, Floats]:
    """For each token of the claim: (n, len(NAMES)) facts, its own vector and that of its counterpart, both (n, WIDTH).

    ``stems`` are those of the whole context. Without evidence the counterparts are zero.
    """
    n = len(read.ids)
    facts = np.zeros((n, len(NAMES)), np.float32)
    facts[:, 9:15] = _words(claim, read, stems, weights)
    facts[:, 17] = _is_continued(claim, read)
    own = by.unit(PAIRED, read.layers[PAIRED])
    lengths = [len(line.ids) for line in evidence]
    if n == 0 or sum(lengths) == 0:
        return facts, own @ by.directions, np.zeros((n, WIDTH), np.float32)
    sentence = np.repeat(np.arange(len(lengths)), lengths)
    ids = np.concatenate([line.ids for line in evidence])
    cosines = {}
    for layer in LAYERS:
        there = by.unit(layer, np.concatenate([line.layers[layer] for line in evidence]))
        cosines[layer] = by.unit(layer, read.layers[layer]) @ there.T
        if layer == PAIRED:
            paired_vectors = there
    near = cosines[PAIRED]
    partner = near.argmax(axis=1)
    rows = np.arange(n)
    for column, layer in enumerate(LAYERS):
        facts[:, column] = cosines[layer].max(axis=1)
    for column, layer in ((4, 0), (5, 2), (6, 6)):
        facts[:, column] = cosines[layer][rows, partner]
    if near.shape[1] > 1:
        facts[:, 7] = near[rows, partner] - np.partition(near, -2, axis=1)[:, -2]
    facts[:, 8] = np.isin(read.ids, ids)
    step = np.diff(partner) == 1
    facts[1:, 15] = step
    facts[:-1, 16] = step
    counts = np.bincount(sentence[partner], minlength=len(lengths))
    facts[:, 18] = counts[sentence[partner]] / n
    facts[:, 19] = sentence[partner] == counts.argmax()
    soft = np.exp(SHARPNESS * (near - near.max(axis=1, keepdims=True)))
    soft /= soft.sum(axis=1, keepdims=True)
    return facts, own @ by.directions, (soft @ paired_vectors) @ by.directions


def summary(facts: Floats) -> Floats:
    """What SUMMARY lists, from the facts of ``align``, over the tokens that are no stop words. Ones without any.

    For each layer: the mean of the nearest cosines weighted by rarity, that of the lowest fifth, and the largest
    distance times rarity.
    """
    facts = facts[facts[:, 13] < 0.5]
    if not len(facts):
        return np.ones(len(SUMMARY), np.float32)
    weights = facts[:, 10] + 1e-3
    values: list[float] = []
    for column in range(len(LAYERS)):
        nearest = facts[:, column]
        values += [
            float((nearest * weights).sum() / weights.sum()),
            float(np.sort(nearest)[: max(1, len(nearest) // 5)].mean()),
            float(((1 - nearest) * weights).max()),
        ]
    values += [float(facts[:, column].mean()) for column in (4, 5)]
    values += [float(facts[:, 18].max()), *(float(facts[:, column].mean()) for column in (15, 19, 8))]
    return np.array(values, np.float32)


def _words(claim: str, read: Reading, stems: frozenset[str], weights: Weights) -> Floats:
    """For each token what is true of the word it belongs to: columns 9 to 14 of NAMES."""
    facts = np.zeros((len(read.ids), 6), np.float32)
    for i, (start, end) in enumerate(read.offsets):
        first, last = _whole(claim, start, end)
        word = claim[first:last]
        stem = stem_of(word.casefold())
        facts[i] = (
            stem in stems,
            weights[stem] / 10,
            word[:1].isdigit(),
            word[:1].isupper() and first > 0,
            is_stop(word.casefold()) or not word[:1].isalnum(),
            is_negation(word.casefold()),
        )
    return facts


def _whole(claim: str, start: int, end: int) -> tuple[int, int]:
    """The word to which a piece of it belongs."""
    while start > 0 and claim[start - 1].isalnum() and claim[start].isalnum():
        start -= 1
    while end < len(claim) and claim[end - 1].isalnum() and claim[end].isalnum():
        end += 1
    return start, end


def _is_continued(claim: str, read: Reading) -> npt.NDArray[np.bool_]:
    starts = [start for start, _ in read.offsets]
    return np.array([s > 0 and claim[s - 1].isalnum() and claim[s].isalnum() for s in starts], bool)
