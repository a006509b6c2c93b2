"""Puts a LoRA adapter from disk onto a model without touching the model: peft, for the local engine."""

from __future__ import annotations

import copy
from collections.abc import Collection
from itertools import chain
from pathlib import Path
from typing import Any, cast

from peft import PeftConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import PreTrainedModel

from assistant.engines import plain
from assistant.errors import ModelError


def adapted(base: PreTrainedModel, folder: Path, *, base_names: Collection[str]) -> PreTrainedModel:
    """A model with the adapter of ``folder`` that shares every tensor with ``base``, which stays as it is.

    Each adapter has modules of its own, so models with different adapters may run beside each other.

    Raises ModelError when the adapter is damaged, or what ``plain.checked`` refuses.
    """
    try:
        plain.checked(folder, base_names=base_names)
        config = PeftConfig.from_pretrained(str(folder))
        weights = load_file(folder / plain.WEIGHTS)
        config.inference_mode = True
        config.base_model_name_or_path = base.name_or_path  # checked above; the folder may have moved since
        model = get_peft_model(_sharing_copy(base), config)
        expected = get_peft_model_state_dict(model, save_embedding_layers=False)
        if {name: tensor.shape for name, tensor in weights.items()} != {n: t.shape for n, t in expected.items()}:
            raise ModelError(f"The adapter {folder.name} does not fit this model: its tensors are others.")
        set_peft_model_state_dict(model, weights)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"The adapter {folder.name} cannot be loaded: {error}") from error
    return cast(PreTrainedModel, model.get_base_model().eval())


def _sharing_copy(base: PreTrainedModel) -> PreTrainedModel:
    """A copy of the module tree around the very same parameters and buffers."""
    shared: dict[int, Any] = {id(tensor): tensor for tensor in chain(base.parameters(), base.buffers())}
    return copy.deepcopy(base, shared)
