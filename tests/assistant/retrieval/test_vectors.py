from __future__ import annotations

import gc
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from assistant.errors import FielError
from assistant.retrieval.vectors import Vectors


def unit(*angles: float) -> np.ndarray:
    """Vectors in the plane; the cosine of two is that of the difference of their angles (in degrees)."""
    radians = np.deg2rad(np.array(angles))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def test_the_scopes_asked_for_are_merged_nearest_first(vectors: Vectors) -> None:
    vectors.upsert("shared", ["1.1:0", "1.1:1"], unit(0, 40))
    vectors.upsert("person-2", ["2.3:5"], unit(10))
    vectors.upsert("person-3", ["3.1:0"], unit(1))
    near = vectors.query(unit(1)[0], scopes=("shared", "person-2", "person-9"), count=2)
    assert [(n.document_id, n.generation, n.sentence) for n in near] == [(1, 1, 0), (2, 3, 5)]
    assert near[1].similarity == pytest.approx(np.cos(np.deg2rad(9)), abs=1e-4)


def test_writing_twice_is_the_same_as_once(vectors: Vectors) -> None:
    vectors.upsert("shared", ["1.1:0"], unit(90))
    vectors.upsert("shared", ["1.1:0"], unit(0))
    vectors.upsert("shared", [], np.empty((0, 2), np.float32))
    (only,) = vectors.query(unit(0)[0], scopes=["shared"], count=10)
    assert only.similarity == pytest.approx(1, abs=1e-4)


def test_chosen_documents_are_found_however_far_away(vectors: Vectors) -> None:
    vectors.upsert("shared", [f"1.1:{n}" for n in range(300)], unit(*np.linspace(0, 20, 300)))
    vectors.upsert("shared", ["2.1:0", "3.1:0"], unit(170, 100))
    near = vectors.query(unit(0)[0], scopes=["shared"], count=5, document_ids=[2, 3])
    assert [n.document_id for n in near] == [3, 2]


def test_a_deletion_takes_all_generations_of_one_document(vectors: Vectors) -> None:
    vectors.upsert("shared", ["1.1:0", "1.2:0", "11.1:0"], unit(0, 1, 2))
    vectors.delete_document("shared", 1)
    assert vectors.ids("shared") == {"11.1:0"}
    vectors.delete_document("shared", 11)
    vectors.delete_document("shared", 11)
    assert vectors.ids("shared") == set()
    assert vectors.query(unit(0)[0], scopes=["shared"], count=5) == []


def test_nothing_that_stood_in_memory_gets_into_the_index(vectors: Vectors, state: Path) -> None:
    for number in range(8):
        held = [bytearray(b"Xylothorax " * 20_000) for _ in range(40)]
        held.clear()  # for the index to find
        vectors.upsert(f"person-{number}", ["1.1:0"], np.ones((1, 384), np.float32))
        vectors.query(np.ones(384, np.float32), scopes=[f"person-{number}"], count=1)
    indexes = list(state.rglob("data_level0.bin"))
    assert len(indexes) == 8
    for index in indexes:
        places = index.read_bytes()
        assert not any(places[len(places) // 100 :]), "there are a hundred, of which one is taken"


def test_another_embedding_model_may_have_longer_vectors(vectors: Vectors) -> None:
    vectors.upsert("shared", ["1.1:0"], unit(0))
    vectors.upsert("shared", ["2.1:0"], np.eye(3, dtype=np.float32)[:1])
    (near,) = vectors.query(np.eye(3, dtype=np.float32)[0], scopes=["shared"], count=5)
    assert near.document_id == 2
    vectors.delete_document("shared", 1)
    assert vectors.ids("shared") == {"2.1:0"}


def test_more_than_one_batch_survives_a_restart(state: Path) -> None:
    many = Vectors(state / "vectors", None)
    values = np.random.default_rng(0).normal(size=(6_000, 8)).astype(np.float32)
    many.upsert("shared", [f"1.1:{n}" for n in range(6_000)], values)
    many.close()
    again = Vectors(state / "vectors", None)
    assert len(again.ids("shared")) == 6_000
    assert again.query(values[5_999], scopes=["shared"], count=1)[0].sentence == 5_999
    again.close()


def test_no_server_is_an_error_for_people() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(FielError, match="vector index"):
        Vectors(None, f"http://127.0.0.1:{port}")


def test_a_chroma_server_does_as_well(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = Path(sys.executable).with_name("chroma")
    arguments = ["run", "--path", str(tmp_path), "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen([command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # Chroma's client never closes its connection
                _use(_connected(server, f"http://127.0.0.1:{port}"))
                gc.collect()
        finally:
            server.terminate()


def _use(vectors: Vectors) -> None:
    vectors.upsert("shared", ["1.1:0", "2.1:0"], unit(0, 90))
    vectors.delete_document("shared", 1)
    (near,) = vectors.query(unit(0)[0], scopes=["shared", "person-1"], count=5)
    assert near.document_id == 2
    vectors.close()


def _connected(server: subprocess.Popen[bytes], url: str) -> Vectors:
    assert server.stdout is not None
    for line in server.stdout:
        if b"listening on" in line:
            return Vectors(None, url)
    raise AssertionError(f"the Chroma server ended with {server.wait()}")
