"""What an adapter must be to run alike on both engines: plain LoRA, of a rank that vLLM is started with, for this base.

vLLM refuses some kinds when it loads them and takes an adapter of any base; asked here, before training and before
loading, both engines say the same.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from assistant.errors import ModelError

WEIGHTS, CONFIG, MANIFEST = "adapter_model.safetensors", "adapter_config.json", "manifest.json"

MAX_RANK = 32
"""vLLM sets memory aside for each adapter by this."""

# What changes or doubles tensors of the base, or what vLLM refuses.
_PLAIN: dict[str, Collection[object]] = {
    "use_dora": (False,),
    "use_qalora": (False,),
    "use_bdlora": (None,),
    "bias": ("none",),
    "lora_bias": (False,),
    "modules_to_save": (None,),
    "trainable_token_indices": (None,),
    "alora_invocation_tokens": (None,),
    "layer_replication": (None,),
    "megatron_config": (None,),
    "init_lora_weights": (True, False, "gaussian"),
}
_UNTUNED = frozenset({"lm_head", "embed_tokens"})  # vLLM loads no LoRA on these


def check(config: Mapping[str, Any], *, name: str) -> None:
    """Raises ModelError when an adapter with this config (as in adapter_config.json) could not be served.

    For a trainer to ask before it trains: ``check(lora_config.to_dict(), name=...)``.
    """
    if config.get("peft_type") != "LORA":
        raise ModelError(f"The adapter {name} is not LoRA.")
    for option, allowed in _PLAIN.items():
        if (config.get(option) or None) not in [value or None for value in allowed]:
            raise ModelError(f"The adapter {name} is not plain LoRA: its {option} is {config.get(option)!r}.")
    ranks = [config.get("r"), *(config.get("rank_pattern") or {}).values()]
    if not all(isinstance(rank, int) and 0 < rank <= MAX_RANK for rank in ranks):
        raise ModelError(f"The adapter {name} has a rank outside 1 to {MAX_RANK}: {max(ranks, key=str)}.")
    targets = config.get("target_modules") or ()
    if not isinstance(targets, str) and (untuned := _UNTUNED.intersection(targets)):
        raise ModelError(f"The adapter {name} changes {', '.join(sorted(untuned))}, which cannot be served.")


def checked(folder: Path, *, base_names: Collection[str]) -> dict[str, Any]:
    """The config of the adapter in ``folder``.

    ``base_names`` are the names by which it may know its base: the ``base`` of its manifest must be one of them;
    without a manifest, the last part of the name in its config must agree.

    Raises ModelError when the adapter is missing, pickled, made for another base, or cannot be served.
    """
    if not (folder / WEIGHTS).is_file():
        raise ModelError(f"The adapter {folder.name} holds no {WEIGHTS}; weights in other forms are not read.")
    if not (folder / CONFIG).is_file():  # peft would go and look for it on the hub
        raise ModelError(f"The adapter {folder.name} holds no {CONFIG}.")
    config = read_json(folder / CONFIG)
    check(config, name=folder.name)
    if (folder / MANIFEST).is_file():
        named = read_json(folder / MANIFEST).get("base")
        fits = named in base_names
    else:
        named = config.get("base_model_name_or_path")
        fits = not named or Path(named).name in {Path(name).name for name in base_names}
    if not fits:
        raise ModelError(f"The adapter {folder.name} was trained for the model {named}, not for this one.")
    return config


def read_json(path: Path) -> dict[str, Any]:
    """Raises ModelError when it is no JSON object."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"The adapter {path.parent.name} is damaged: {path.name} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ModelError(f"The adapter {path.parent.name} is damaged: {path.name} is not an object.")
    return values
