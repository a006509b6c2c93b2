"""Puts a LoRA adapter from disk onto a model without touching the model: peft, for the local engine."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection
from itertools import chain
from pathlib import Path
from typing import Any, cast

from peft import LoraConfig, PeftConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import PreTrainedModel

from assistant.errors import ModelError

WEIGHTS, CONFIG, MANIFEST = "adapter_model.safetensors", "adapter_config.json", "manifest.json"

# What changes or doubles tensors of the base, or what the vLLM engine refuses: an adapter must run alike on both.
_PLAIN: dict[str, Collection[object]] = {
    "use_dora": (False,),
    "bias": ("none",),
    "lora_bias": (False,),
    "modules_to_save": (None,),
    "trainable_token_indices": (None,),
    "layer_replication": (None,),
    "megatron_config": (None,),
    "init_lora_weights": (True, False, "gaussian"),
}


def adapted(base: PreTrainedModel, folder: Path, *, base_names: Collection[str]) -> PreTrainedModel:
    """A model with the adapter of ``folder`` that shares every tensor with ``base``, which stays as it is.

    Each adapter has modules of its own, so models with different adapters may run beside each other. ``base_names``
    are the names by which the adapter may know its base: the ``base`` of its manifest must be one of them; without a
    manifest, the last part of the name in its config must agree.

    Raises ModelError when the adapter is missing, damaged, pickled, made for another base, or not plain LoRA.
    """
    try:
        config = _config(folder)
        _check_base(folder, config, base_names)
        weights = load_file(folder / WEIGHTS)
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


def _config(folder: Path) -> LoraConfig:
    if not (folder / WEIGHTS).is_file():
        raise ModelError(f"The adapter {folder.name} holds no {WEIGHTS}; weights in other forms are not read.")
    if not (folder / CONFIG).is_file():  # peft would go and look for it on the hub
        raise ModelError(f"The adapter {folder.name} holds no {CONFIG}.")
    config = PeftConfig.from_pretrained(str(folder))
    if not isinstance(config, LoraConfig):
        raise ModelError(f"The adapter {folder.name} is not LoRA.")
    for name, allowed in _PLAIN.items():
        if (getattr(config, name) or None) not in [value or None for value in allowed]:
            raise ModelError(f"The adapter {folder.name} is not plain LoRA: its {name} is {getattr(config, name)!r}.")
    return config


def _check_base(folder: Path, config: LoraConfig, base_names: Collection[str]) -> None:
    manifest = folder / MANIFEST
    if manifest.is_file():
        named = json.loads(manifest.read_text(encoding="utf-8")).get("base")
        fits = named in base_names
    else:
        named = config.base_model_name_or_path
        fits = not named or Path(named).name in {Path(name).name for name in base_names}
    if not fits:
        raise ModelError(f"The adapter {folder.name} was trained for the model {named}, not for this one.")
