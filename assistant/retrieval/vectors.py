"""The vectors of all sentences, in Chroma: nearest sentences by cosine. The only module that knows Chroma.

A vector is called ``<document row>.<generation>:<sentence>``. Each scope has collections of its own, because a filter
on the owner costs a hundred times the query itself; one per length of vector, so that another embedding model can move
in while the old vectors move out.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from urllib.parse import urlsplit

import chromadb
import httpx
import numpy as np
import numpy.typing as npt
from chromadb.api.client import Client
from chromadb.api.collection_configuration import CreateCollectionConfiguration
from chromadb.config import Settings
from chromadb.errors import ChromaError, NotFoundError

from assistant.errors import FielError

# Set when a collection is made, and silently ignored later. ef_search: of the true nearest 100 among 20,000 clustered
# vectors, .96 are found at the default of 100 and .99 at 200, for less than one more millisecond.
_INDEX: CreateCollectionConfiguration = {"hnsw": {"space": "cosine", "ef_search": 200}}

_MALLOPT = getattr(ctypes.CDLL(None), "mallopt", None)
_M_PERTURB = -6  # malloc.h


@dataclass(frozen=True, slots=True)
class Near:
    """A sentence near to the one asked for; ``similarity`` is the cosine, in [-1, 1]."""

    document_id: int
    generation: int
    sentence: int
    similarity: float


class Vectors:
    """Thread-safe. Every method raises FielError when Chroma fails."""

    def __init__(self, folder: Path | None, url: str | None) -> None:
        """A Chroma server at ``url`` (http://host:port), or else an embedded one in ``folder``.

        An embedded one belongs to one process alone: a second one loses rows silently.
        """
        with _translated():
            settings = Settings(anonymized_telemetry=False)  # Chroma writes the address of its server into it
            if url is not None:
                parts = urlsplit(url)
                https = parts.scheme == "https"
                port = parts.port or (443 if https else 80)
                self._client = chromadb.HttpClient(parts.hostname or "", port, ssl=https, settings=settings)
            else:
                self._client = chromadb.PersistentClient(str(folder), settings=settings)
            self._batch = self._client.get_max_batch_size()
        self._changing = Lock()

    def close(self) -> None:
        assert isinstance(self._client, Client)  # what both constructors return, though typed as its base
        self._client.close()

    @contextmanager
    def unchanging(self) -> Iterator[None]:
        """Nothing changes until the end of the block, so that the folder can be copied; whoever wants to waits."""
        with self._changing:
            yield

    def upsert(self, scope: str, ids: Sequence[str], vectors: npt.NDArray[np.float32]) -> None:
        """Adds or replaces: doing it twice is the same as once. ``vectors`` has the shape (len(ids), dimension)."""
        if not len(ids):
            return
        with self._changing, _translated(), _zeroed():
            collection = self._client.get_or_create_collection(
                f"{scope}.{vectors.shape[1]}", embedding_function=None, configuration=_INDEX
            )
            for start in range(0, len(ids), self._batch):
                part = slice(start, start + self._batch)
                collection.upsert(
                    ids=list(ids[part]),
                    embeddings=vectors[part],
                    metadatas=[{"document": _parsed(id)[0]} for id in ids[part]],
                )

    def delete_document(self, scope: str, document_id: int) -> None:
        """Removes all vectors of all generations; none is fine too. An empty collection goes from the disk."""
        with self._changing, _translated():
            for collection in self._collections(scope):
                collection.delete(where={"document": document_id})
                if collection.count() == 0:
                    self._client.delete_collection(collection.name)

    def query(
        self, vector: npt.NDArray[np.float32], *, scopes: Sequence[str], count: int, document_ids: Sequence[int] = ()
    ) -> list[Near]:
        """The nearest ``count`` sentences of all these scopes together, nearest first, approximately.

        ``document_ids`` limits the search to some documents, which is exact but slower.
        """
        where = {"document": {"$in": list(document_ids)}} if document_ids else None
        found: list[Near] = []
        for scope in scopes:
            with _translated():
                try:
                    collection = self._client.get_collection(f"{scope}.{len(vector)}", embedding_function=None)
                    result = collection.query(
                        query_embeddings=vector[np.newaxis],
                        n_results=count,
                        where=where,  # type: ignore[arg-type]  # Chroma's own type forbids its documented form
                        include=["distances"],
                    )
                except NotFoundError:  # nobody has added anything
                    continue
            assert result["distances"] is not None  # asked for
            pairs = zip(result["ids"][0], result["distances"][0], strict=True)
            found += [Near(*_parsed(id), similarity=1 - distance) for id, distance in pairs]
        return sorted(found, key=lambda near: -near.similarity)[:count]

    def ids(self, scope: str) -> set[str]:
        """What the vectors of a scope are called."""
        with _translated():
            return {id for collection in self._collections(scope) for id in collection.get(include=[])["ids"]}

    def _collections(self, scope: str) -> list[chromadb.Collection]:
        return [c for c in self._client.list_collections() if c.name.rpartition(".")[0] == scope]


def _parsed(id: str) -> tuple[int, int, int]:
    """Document row, generation, sentence."""
    document, _, rest = id.partition(".")
    generation, _, sentence = rest.partition(":")
    return int(document), int(generation), int(sentence)


@contextmanager
def _zeroed() -> Iterator[None]:
    """New memory holds zeros, where glibc gives it.

    Chroma writes the index of a new collection to the disk with places it never set, in which stood whatever was read
    before: words that somebody deletes later, and that would stay on the disk.
    """
    if _MALLOPT is None:
        yield
        return
    _MALLOPT(_M_PERTURB, 0xFF)  # each new byte is the complement
    try:
        yield
    finally:
        _MALLOPT(_M_PERTURB, 0)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (ChromaError, httpx.HTTPError) as error:
        raise FielError(f"The vector index failed: {error}") from error
    except ValueError as error:  # what the client raises when it reaches no server
        raise FielError(f"The vector index cannot be used: {error}") from error
