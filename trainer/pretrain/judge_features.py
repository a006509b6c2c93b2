"""Reads claims and their contexts as the judge will, and keeps what it sees on disk: reading is the slow part.

python -m trainer.pretrain.judge_features --data ../shared/data --out /tmp/judge
"""

from __future__ import annotations

import argparse
import json
import random
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from assistant.alignment import LAYERS, PAIRED, WIDTH, Projection
from assistant.entailment import LONGEST_CLAIM, Seen, near, see
from assistant.evidence import BUCKETS, Context, Weights, bare, words
from assistant.retrieval.embeddings import Reader
from trainer.pretrain import judge_corrupt, judge_data
from trainer.pretrain.corpus import records
from trainer.pretrain.judge_data import Claim

_TEXTS = 400  # sentences that are read at once


def word_weights(data: Path) -> npt.NDArray[np.float32]:
    """Inverse document frequencies of stems in pieces of 1,000 characters of English and Portuguese text."""
    found = np.zeros(BUCKETS)
    pieces = 0
    for lang, most in (("en", 12_000_000), ("pt", 8_000_000)):
        seen = 0
        for record in records(data / "pretrain" / f"text_{lang}.jsonl.xz"):
            text = record["text"]
            if judge_data.share(text[:200]) > 0.15:
                continue
            for start in range(0, len(text), 1000):
                for stem in set(words(text[start : start + 1000]).stems):
                    found[zlib.crc32(stem.encode()) % BUCKETS] += 1
                pieces += 1
            seen += len(text)
            if seen > most:
                break
    return np.asarray(np.log((pieces + 1) / (found + 1)).clip(0), np.float32)


def projection(reader: Reader, texts: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
    """Mean of every layer's vectors, and the main directions of those that words are paired by."""
    readings = reader.read(texts)
    layers = {layer: np.concatenate([reading.layers[layer] for reading in readings]) for layer in LAYERS}
    mean = np.stack([layers[layer].mean(axis=0) for layer in LAYERS])
    unit = layers[PAIRED] - layers[PAIRED].mean(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(unit.T @ unit)
    return {"mean": mean.astype(np.float32), "directions": vectors[:, ::-1][:, :WIDTH].astype(np.float32).copy()}


def _label(claim: Claim, start: int, end: int) -> int:
    if not claim.marked:
        return 0 if claim.supported else -1
    return int(any(a < end and b > start for a, b in claim.marks))


def look(
    claims: Sequence[Claim], reader: Reader, weights: Weights, by: Projection
) -> Iterator[tuple[Claim, Seen, npt.NDArray[np.int8]]]:
    """Each claim with what the judge sees of it, and for each of its tokens whether it is unsupported (-1: unknown).

    Claims of one context must stand together.
    """
    pending: list[tuple[Context, list[Claim], list[int]]] = []
    count = 0
    for context, of in _by_context(claims, weights):
        readable = sorted({int(i) for claim in of for i in context.readable(words(bare(claim.text)))})
        pending.append((context, of, readable))
        count += len(readable) + len(of)
        if count >= _TEXTS:
            yield from _read(pending, reader, by)
            pending, count = [], 0
    yield from _read(pending, reader, by)


def _by_context(claims: Sequence[Claim], weights: Weights) -> Iterator[tuple[Context, list[Claim]]]:
    start = 0
    while start < len(claims):
        end = start
        while end < len(claims) and claims[end].context == claims[start].context:
            end += 1
        yield Context([claims[start].context], weights), list(claims[start:end])
        start = end


def _read(
    pending: Sequence[tuple[Context, list[Claim], list[int]]], reader: Reader, by: Projection
) -> Iterator[tuple[Claim, Seen, npt.NDArray[np.int8]]]:
    texts = [context.lines[i].text for context, _, readable in pending for i in readable]
    texts += [bare(claim.text) for _, claims, _ in pending for claim in claims]
    readings = iter(reader.read(texts))
    lines = [{i: next(readings) for i in readable} for _, _, readable in pending]
    for (context, claims, _), of in zip(pending, lines, strict=True):
        for claim in claims:
            read = next(readings)
            text = bare(claim.text)
            cosines = near(context, read, of)
            evidence = {i: of[i] for i in context.choose(words(text), cosines) if i in of}
            seen = see(context, text, read, cosines=cosines, evidence=evidence, by=by)
            labels = [_label(claim, start, end) for start, end in read.offsets[:LONGEST_CLAIM]]
            yield claim, seen, np.array(labels, np.int8)


def save(folder: Path, name: str, looked: Iterable[tuple[Claim, Seen, npt.NDArray[np.int8]]]) -> int:
    rows: list[dict[str, object]] = []
    arrays: dict[str, list[npt.NDArray[np.float16]]] = {key: [] for key in ("features", "facts", "own", "other")}
    labels, lengths = [], []
    for claim, seen, of in looked:
        rows.append({k: v for k, v in asdict(claim).items() if k not in ("context", "marks")})
        arrays["features"].append(seen.features[None].astype(np.float16))
        for key in ("facts", "own", "other"):
            arrays[key].append(getattr(seen, key).astype(np.float16))
        labels.append(of)
        lengths.append(len(of))
    tensors = {key: np.concatenate(parts) for key, parts in arrays.items()}
    tensors |= {"labels": np.concatenate(labels), "lengths": np.array(lengths, np.int32)}
    save_file(tensors, folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(json.dumps(rows, ensure_ascii=False))
    return len(rows)


def claims_of(data: Path) -> dict[str, list[Claim]]:
    """All claims, by the part under which they are kept."""
    rng = random.Random(0)  # noqa: S311
    parts: dict[str, list[Claim]] = {"spans": list(judge_data.spans(data)), "edits": list(judge_data.edits(data))}
    parts["pairs"] = list(judge_data.pairs(data))
    texts = list(judge_corrupt.from_texts(judge_corrupt.documents(data, 1_500), rng))
    held = [claim for claim in parts["spans"] + parts["edits"] if claim.supported]
    entailed = [claim for claim in parts["pairs"] if claim.supported]
    true = [claim for claim in texts if claim.supported]
    changed = [c for claim in [*held, *true, *true, *entailed] if (c := judge_corrupt.corrupted(claim, rng))]
    parts["corrupted"] = texts + changed + list(judge_corrupt.misplaced(rng.sample(held, 1_500), rng))
    for claims in parts.values():
        claims.sort(key=lambda claim: claim.context)
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    base = arguments.out / "base.safetensors"
    reader = Reader(LAYERS, threads=1)
    parts = claims_of(arguments.data)
    if not base.exists():
        sample = random.Random(0).sample([claim for claims in parts.values() for claim in claims], 4_000)  # noqa: S311
        tensors = projection(reader, [claim.text for claim in sample])
        save_file(tensors | {"weights": word_weights(arguments.data)}, base)
    tensors = load_file(base)
    weights, by = Weights(tensors["weights"]), Projection(tensors["mean"], tensors["directions"])
    for name, claims in parts.items():
        if not (arguments.out / f"{name}.safetensors").exists():
            count = save(arguments.out, name, look(claims, reader, weights, by))
            print(f"{name}: {count} claims, {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
