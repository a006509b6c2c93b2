"""What peft does for the engines: puts an adapter from disk onto a model without touching it; makes one of zeros."""

from __future__ import annotations

import copy
from collections.abc import Collection
from itertools import chain
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

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


def zeros(source: str, folder: Path) -> Path:
    """An adapter in ``folder`` with which the model of ``source`` speaks as without any; written unless it is there.

    Reads the model's config alone. Raises ModelError when it cannot be made.
    """
    if (folder / plain.WEIGHTS).is_file():
        return folder
    try:
        with torch.device("meta"):  # shapes without numbers
            config = AutoConfig.from_pretrained(source, trust_remote_code=False)
            base = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
            model = get_peft_model(base, LoraConfig(r=1, target_modules="all-linear"))
        shapes = {name: t.shape for name, t in get_peft_model_state_dict(model, save_embedding_layers=False).items()}
        model.peft_config["default"].save_pretrained(str(folder))
        incoming = folder / f"{plain.WEIGHTS}.incoming"
        save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, incoming)
        incoming.rename(folder / plain.WEIGHTS)  # last: whoever finds it finds it whole
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"No adapter can be made for the model {source}: {error}") from error
    return folder


def _sharing_copy(base: PreTrainedModel) -> PreTrainedModel:
    """A copy of the module tree around the very same parameters and buffers."""
    shared: dict[int, Any] = {id(tensor): tensor for tensor in chain(base.parameters(), base.buffers())}
    return copy.deepcopy(base, shared)
