"""A BERT sentence encoder as an ONNX graph with 8-bit weights, written straight from its safetensors.

Building takes under a second, needs no PyTorch and leaves nothing on disk. ONNX Runtime's fused operators do the work:
per-channel symmetric weights, activations quantised per batch (Zafrir et al. 2019, "Q8BERT").
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

VERSION = 1
"""Part of an encoder's name: raise it whenever the same weights give other vectors."""

_FUSED = "com.microsoft"


def supports(config: dict[str, Any]) -> bool:
    """Whether ``config`` (a transformers ``config.json``) describes an encoder that ``encoder`` can write."""
    return (
        config.get("model_type") == "bert"
        and config.get("hidden_act") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
    )


def encoder(
    weights: Path, config: dict[str, Any], pooling: Literal["mean", "cls"], layers: Sequence[int] = ()
) -> bytes:
    """The serialised graph: int32 ``input_ids`` and ``attention_mask`` of shape (n, tokens) to ``embedding`` (n, dim).

    Rows of ``embedding`` are float32 of length 1. Token types are taken to be 0 throughout. For each of ``layers`` (0:
    the embeddings below the first one) there is an output ``layer.<n>`` of shape (n, tokens, dim) too.
    """
    tensors = {name.removeprefix("bert."): tensor for name, tensor in load_file(weights).items()}
    graph = _Graph({name: tensor.astype(np.float32) for name, tensor in tensors.items()}, config)
    hidden = [graph.embeddings()]
    for layer in range(config["num_hidden_layers"]):
        hidden.append(graph.layer(f"encoder.layer.{layer}", hidden[-1]))
    graph.pool(hidden[-1], pooling)
    for layer in layers:
        graph.show(hidden[layer], f"layer.{layer}")
    return bytes(graph.model().SerializeToString())


class _Graph:
    """Nodes and constants as they are added; every method returns the name of what it computes."""

    def __init__(self, tensors: dict[str, npt.NDArray[np.float32]], config: dict[str, Any]) -> None:
        self._tensors = tensors
        self._heads = config["num_attention_heads"]
        self._epsilon = config["layer_norm_eps"]
        self._dimension = config["hidden_size"]
        self._nodes: list[NodeProto] = []
        self._shown: list[str] = []
        self._constants: list[TensorProto] = []

    def embeddings(self) -> str:
        words = self._weight("embeddings.word_embeddings.weight")
        types = self._tensors["embeddings.token_type_embeddings.weight"]
        positions = self._tensors["embeddings.position_embeddings.weight"] + types[0]
        inputs = ["input_ids", "", words, self._constant("positions", positions), ""]
        inputs += [*self._norm("embeddings.LayerNorm"), "attention_mask"]
        return self._fused("EmbedLayerNormalization", inputs, "embedded", outputs=2, epsilon=self._epsilon)

    def layer(self, name: str, hidden: str) -> str:
        attended = self._attention(f"{name}.attention", hidden)
        attended = self._dense(f"{name}.attention.output", attended, residual=hidden)
        wide = self._matmul(f"{name}.intermediate.dense", attended)
        wide = self._fused("BiasGelu", [wide, self._weight(f"{name}.intermediate.dense.bias")], f"{name}.gelu")
        return self._dense(f"{name}.output", wide, residual=attended)

    def pool(self, hidden: str, pooling: Literal["mean", "cls"]) -> None:
        one = self._constant("one", np.array([1], np.int64))
        if pooling == "cls":
            self._node("Gather", [hidden, self._constant("first", np.array(0, np.int64))], "pooled", axis=1)
        else:  # the sum over the real tokens: normalising takes out the mean's divisor
            self._node("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
            self._node("Unsqueeze", ["mask", one], "row")
            self._node("MatMul", ["row", hidden], "sum")
            self._node("Squeeze", ["sum", one], "pooled")
        self._node("LpNormalization", ["pooled"], "embedding", axis=1, p=2)

    def show(self, hidden: str, name: str) -> None:
        """Makes the vectors of all tokens an output of the graph."""
        self._node("Identity", [hidden], name)
        self._shown.append(name)

    def model(self) -> ModelProto:
        tokens = [
            helper.make_tensor_value_info(name, TensorProto.INT32, ["n", "tokens"])
            for name in ("input_ids", "attention_mask")
        ]
        embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", self._dimension])
        shown = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "tokens", self._dimension])
            for name in self._shown
        ]
        graph = helper.make_graph(self._nodes, "encoder", tokens, [embedding, *shown], self._constants)
        operators = [helper.make_opsetid("", 17), helper.make_opsetid(_FUSED, 1)]
        return helper.make_model(graph, opset_imports=operators, ir_version=9)

    def _attention(self, name: str, hidden: str) -> str:
        parts = [f"{name}.self.{part}" for part in ("query", "key", "value")]
        weight = np.concatenate([self._tensors[f"{part}.weight"].T for part in parts], axis=1)
        bias = np.concatenate([self._tensors[f"{part}.bias"] for part in parts])
        quantised, scale, zero = self._quantised(name, weight)
        levels, level_scale, level_zero = (f"{name}.{part}" for part in ("levels", "level_scale", "level_zero"))
        self._nodes.append(helper.make_node("DynamicQuantizeLinear", [hidden], [levels, level_scale, level_zero]))
        inputs = [levels, quantised, self._constant(f"{name}.bias", bias), level_scale, scale, "attention_mask"]
        return self._fused("QAttention", [*inputs, level_zero, zero], f"{name}.heads", num_heads=self._heads)

    def _dense(self, name: str, x: str, *, residual: str) -> str:
        product = self._matmul(f"{name}.dense", x)
        inputs = [product, residual, *self._norm(f"{name}.LayerNorm"), self._weight(f"{name}.dense.bias")]
        return self._fused("SkipLayerNormalization", inputs, f"{name}.normed", epsilon=self._epsilon)

    def _matmul(self, name: str, x: str) -> str:
        inputs = [x, *self._quantised(name, self._tensors[f"{name}.weight"].T)]
        return self._fused("DynamicQuantizeMatMul", inputs, f"{name}.product")

    def _quantised(self, name: str, weight: npt.NDArray[np.float32]) -> tuple[str, str, str]:
        """``weight`` (in, out) as whole numbers in ±127 with one scale per output, and zero points of 0."""
        scale = np.maximum(np.abs(weight).max(axis=0), 1e-12) / 127
        return (
            self._constant(f"{name}.int8", np.round(weight / scale).astype(np.int8)),
            self._constant(f"{name}.scale", scale),
            self._constant(f"{name}.zero", np.zeros(scale.shape, np.int8)),
        )

    def _norm(self, name: str) -> list[str]:
        return [self._weight(f"{name}.weight"), self._weight(f"{name}.bias")]

    def _weight(self, name: str) -> str:
        return self._constant(name, self._tensors[name])

    def _constant(self, name: str, value: npt.NDArray[Any]) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _fused(self, operator: str, inputs: list[str], output: str, *, outputs: int = 1, **attributes: Any) -> str:
        names = [output, *(f"{output}.{i}" for i in range(1, outputs))]
        self._nodes.append(helper.make_node(operator, inputs, names, domain=_FUSED, **attributes))
        return output

    def _node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output
