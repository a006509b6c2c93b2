from __future__ import annotations

import asyncio
import json
import shutil
from contextlib import aclosing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from assistant.engines import lora, plain
from assistant.engines.base import Sampling
from assistant.engines.local import LocalEngine
from assistant.errors import ModelError
from tests.assistant.engines.conftest import PROMPT, random_adapter, say, tiny_llama


def test_adapters_and_base_stream_at_once_as_each_does_alone(engine: LocalEngine, red: Path, blue: Path) -> None:
    async def run() -> None:
        await engine.load_adapter("red-1", red)
        alone_red = (await say(engine, adapter="red-1")).text
        await engine.load_adapter("blue-1", blue)
        alone = {
            None: (await say(engine)).text,
            "red-1": alone_red,
            "blue-1": (await say(engine, adapter="blue-1")).text,
        }
        assert len(set(alone.values())) == 3, "each says something else"
        adapters = [*alone] * 4
        together = await asyncio.gather(*(say(engine, adapter=adapter) for adapter in adapters))
        assert [spoken.text for spoken in together] == [alone[adapter] for adapter in adapters]

    asyncio.run(run())


def test_an_adapter_says_what_peft_says(engine: LocalEngine, tiny: Path, red: Path) -> None:
    from peft import PeftModel
    from transformers import AutoTokenizer

    async def run() -> str:
        await engine.load_adapter("red-1", red)
        return (await say(engine, adapter="red-1")).text

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    chat = [{"role": message.role, "content": message.content} for message in PROMPT]
    inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")
    reference = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny), red)
    written = reference.generate(**inputs, max_new_tokens=40, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert asyncio.run(run()) == tokenizer.decode(written, skip_special_tokens=True).rstrip("\ufffd")


def test_loading_and_unloading_leave_running_streams_unharmed(engine: LocalEngine, red: Path, blue: Path) -> None:
    async def run() -> None:
        await engine.load_adapter("red-1", red)
        alone = (await say(engine, adapter="red-1")).text
        async with aclosing(engine.stream(PROMPT, sampling=Sampling(max_tokens=40), adapter="red-1")) as stream:
            text = (await anext(stream)).text
            await engine.load_adapter("blue-1", blue)
            await engine.unload_adapter("red-1")
            text += "".join([delta.text async for delta in stream])
        assert text == alone
        with pytest.raises(ModelError, match="red-1 is not loaded"):
            await say(engine, adapter="red-1")

    asyncio.run(run())


def test_an_adapter_shares_the_tensors_of_its_base(tiny: Path, red: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(tiny).requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    adapted = lora.adapted(base, red, base_names={str(tiny)})
    own = {name for name, tensor in adapted.named_parameters() if "lora_" in name}
    addresses = {tensor.data_ptr() for tensor in base.parameters()}
    assert all(tensor.data_ptr() in addresses for name, tensor in adapted.named_parameters() if name not in own)
    assert own
    assert before.keys() == base.state_dict().keys(), "the base has no LoRA modules"
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.state_dict().items())


def test_a_version_is_loaded_once(engine: LocalEngine, red: Path, blue: Path) -> None:
    async def run() -> None:
        await engine.load_adapter("v1", red)
        with pytest.raises(ModelError, match="loaded already"):
            await engine.load_adapter("v1", blue)
        with pytest.raises(ModelError, match="v2 is not loaded"):
            await engine.unload_adapter("v2")

    asyncio.run(run())


def _refused(engine: LocalEngine, folder: Path, reason: str) -> None:
    """Loading fails with this reason, and the engine goes on as before."""

    async def run() -> None:
        before = (await say(engine, tokens=10)).text
        with pytest.raises(ModelError, match=reason):
            await engine.load_adapter("v1", folder)
        with pytest.raises(ModelError, match="not loaded"):
            await say(engine, adapter="v1")
        assert (await say(engine, tokens=10)).text == before

    asyncio.run(run())


def test_refuses_pickled_weights(engine: LocalEngine, red: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(red, tmp_path / "pickled")
    torch.save(load_file(folder / plain.WEIGHTS), folder / "adapter_model.bin")
    (folder / plain.WEIGHTS).unlink()
    _refused(engine, folder, "holds no adapter_model.safetensors")


def test_refuses_a_missing_folder(engine: LocalEngine, tmp_path: Path) -> None:
    _refused(engine, tmp_path / "nothing", "holds no")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"peft_type": "LORA", "r": 0}', '{"peft_type": "IA3"}', "{}"])
def test_refuses_a_damaged_config(engine: LocalEngine, red: Path, tmp_path: Path, content: str) -> None:
    folder = shutil.copytree(red, tmp_path / "damaged")
    (folder / plain.CONFIG).write_text(content)
    _refused(engine, folder, "The adapter damaged")


def test_refuses_damaged_weights(engine: LocalEngine, red: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(red, tmp_path / "damaged")
    (folder / plain.WEIGHTS).write_bytes((folder / plain.WEIGHTS).read_bytes()[:500])
    _refused(engine, folder, "The adapter damaged cannot be loaded")


def test_refuses_an_adapter_of_another_base(engine: LocalEngine, red: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(red, tmp_path / "stranger")
    config = json.loads((folder / plain.CONFIG).read_text())
    (folder / plain.CONFIG).write_text(json.dumps(config | {"base_model_name_or_path": "someone/else-7b"}))
    _refused(engine, folder, "trained for the model someone/else-7b")


def test_the_manifest_decides_on_the_base(engine: LocalEngine, red: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(red, tmp_path / "versioned")
    (folder / plain.MANIFEST).write_text(json.dumps({"base": "tiny-00000000"}))
    _refused(engine, folder, "trained for the model tiny-00000000")
    (folder / plain.MANIFEST).write_text(json.dumps({"base": engine.model}))
    asyncio.run(engine.load_adapter("v1", folder))


def test_refuses_tensors_of_another_shape(engine: LocalEngine, tmp_path: Path) -> None:
    wide = tiny_llama(tmp_path / "tiny", hidden_size=64)
    _refused(engine, random_adapter(wide, tmp_path / "wide", seed=3), "does not fit this model")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "bias"),
        ({"init_lora_weights": "olora"}, "init_lora_weights"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refuses_what_is_not_plain_lora(
    engine: LocalEngine, tiny: Path, tmp_path: Path, options: dict[str, object], reason: str
) -> None:
    _refused(engine, random_adapter(tiny, tmp_path / "fancy", seed=4, **options), reason)
