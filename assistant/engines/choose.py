"""Which engine runs, as the settings and the machine have it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.engines.base import Engine, model_name
from assistant.engines.server import ChildServer, RemoteServer, Server, gpu_memory
from assistant.errors import ModelError
from assistant.settings import Settings

if TYPE_CHECKING:
    from assistant.engines.template import Template

_log = logging.getLogger(__name__)

GPU_MODEL = "Qwen/Qwen3-4B-Instruct-2507"
"""What vLLM serves on a GPU unless a model is set."""

_LONGEST_CONTEXT = 32_768  # tokens; beyond, one request alone could fill the memory
_GPU_SHARE = 0.5  # of what is free: training finds the other half
_CPU_SHARE = 0.1  # of the main memory, for keys and values
_SEVERAL_MACHINES = ("--distributed-executor-backend", "--nnodes")  # options with which workers may be elsewhere
_SMALL = 400_000_000  # bytes of weights; below, threads wait for each other longer than they compute


def with_model(settings: Settings, *, tell: Callable[[str], None] = _log.warning) -> Settings:
    """The settings with the model that vLLM serves on a GPU unless one was set, for all that serves it or trains it.

    ``tell`` is told in plain words when it cannot be had and the default stays.
    """
    by_child = settings.engine in {"auto", "vllm"} and settings.vllm_url is None and settings.vllm.python.exists()
    if "model" in settings.model_fields_set or not by_child or gpu_memory() is None:
        return settings
    from assistant.engines.template import Template  # noqa: PLC0415

    try:
        Template(GPU_MODEL)
    except ModelError as error:
        tell(f"{error} The bundled starter is served instead.")
        return settings
    return settings.model_copy(update={"model": GPU_MODEL})


def build(settings: Settings) -> Engine:
    """The engine of the settings. Reads weights or starts a server, which takes a while. Raises ModelError."""
    if settings.engine == "remote":
        from assistant.engines.remote import RemoteEngine  # noqa: PLC0415

        return RemoteEngine(settings.remote)
    gpu = gpu_memory()
    if settings.engine == "local" or (
        settings.engine == "auto" and settings.vllm_url is None and (gpu is None or not settings.vllm.python.exists())
    ):
        from assistant.engines.local import LocalEngine  # noqa: PLC0415  (each engine's libraries are slow to import)

        return LocalEngine(settings.model)
    from assistant.engines.template import Template  # noqa: PLC0415
    from assistant.engines.vllm import VllmEngine  # noqa: PLC0415

    template = Template(settings.model)
    servers: Sequence[Server]
    if settings.vllm_url is not None:
        zeros = _zeros(settings, template)  # nobody says what those servers run on
        servers = [RemoteServer(url.strip(), zeros=zeros) for url in settings.vllm_url.split(",")]
    elif not settings.vllm.python.exists():
        raise ModelError(f"There is no vLLM in {settings.vllm.folder}. Install it with 'make vllm'.")
    else:
        servers = [child_server(settings, settings.model, template, gpu=gpu)]
    for each in servers:
        each.start()
    return VllmEngine(settings.model, template, servers)


def child_server(
    settings: Settings, model: str, template: Template, *, gpu: tuple[int, int] | None = None
) -> ChildServer:
    """A server of our own, not started yet; ``gpu`` tells the free and total MiB of the GPU."""
    return ChildServer(
        python=settings.vllm.python,
        source=template.source,
        served=model_name(model),
        log=settings.state / "logs" / "vllm.log",
        options=[*_options(settings, template, gpu), *settings.vllm.options],
        environment=_environment(settings, template, gpu),
        zeros=_zeros(settings, template) if gpu is None else None,
    )


def _zeros(settings: Settings, template: Template) -> Path:
    from assistant.engines import lora  # noqa: PLC0415

    return lora.zeros(template.source, settings.state / "zeros" / model_name(template.source).replace("/", "--"))


def _options(settings: Settings, template: Template, gpu: tuple[int, int] | None) -> list[str]:
    from transformers import AutoConfig  # noqa: PLC0415

    config = AutoConfig.from_pretrained(template.source, trust_remote_code=False).get_text_config()
    longest = getattr(config, "max_position_embeddings", None) or template.tokenizer.model_max_length
    options = ["--max-model-len", str(min(longest, _LONGEST_CONTEXT))]
    if gpu is None:
        return [*options, "--dtype", "float32"]  # as the local engine; bfloat16 is slow on most CPUs
    free, total = gpu
    share = settings.vllm.memory_share or _GPU_SHARE * free / total
    return [*options, "--gpu-memory-utilization", f"{share:.3f}"]


def _environment(settings: Settings, template: Template, gpu: tuple[int, int] | None) -> dict[str, str]:
    environment = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if not any(option.startswith(_SEVERAL_MACHINES) for option in settings.vllm.options):
        # By itself gloo, which vLLM uses even for a single worker, listens where the machine's name leads to.
        environment["GLOO_SOCKET_IFNAME"] = "lo"
    if gpu is None:
        share = settings.vllm.memory_share or _CPU_SHARE
        environment["VLLM_CPU_KVCACHE_SPACE"] = str(max(1, int(share * _main_memory() / 2**30)))
        # Tied to cores of its own, it would wait for whatever else runs on them: the program, training, a second one.
        environment["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
        weights = [path.stat().st_size for path in Path(template.source).glob("*.safetensors")]
        if weights and sum(weights) < _SMALL:
            environment["OMP_NUM_THREADS"] = "1"
    return environment


def _main_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
