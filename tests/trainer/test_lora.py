"""From a dataset to an adapter: what is learnt, how rows are packed, which rate is taken, and what a failure leaves."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, Lfm2Config, Lfm2ForCausalLM
from trl.data_utils import pack_dataset
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from assistant.engines import plain
from assistant.engines.base import Sampling, model_name
from assistant.engines.local import LocalEngine
from assistant.engines.template import STARTER, Template
from assistant.entailment import Judge
from assistant.errors import FielError, InputError, ModelError, RunCancelledError
from assistant.records import Message
from assistant.settings import ROOT, Training
from tests.assistant.engines.conftest import tiny_llama
from tests.trainer.conftest import QUICK, example, write_dataset
from trainer import fit, lora
from trainer.prepare import prepare
from trainer.tokens import IGNORED, Tokens, read

ASKED = (Message("system", "Answer."), Message("user", "[1] a.txt\nIt opened in 1900.\n\nQuestion: When?"))


def train(dataset: Path, model: Path, out: Path, judge: Judge, settings: Training = QUICK, **options: Any) -> Any:
    earlier = options.pop("earlier", None)
    prepared = prepare(dataset, str(model), settings=settings, folder=out, earlier=earlier)
    return lora.train(prepared, out, settings=settings, seed=0, judge=judge, **options)


def test_an_answer_is_learnt_as_the_model_is_to_write_it() -> None:
    template = Template(str(STARTER))
    tokens = Tokens(template.encoded(ASKED), template.completion(ASKED, "In 1900. [1]"))
    whole = template.tokenizer.decode(tokens.prompt + tokens.completion)
    assert whole.startswith("<|user|>[1] a.txt"), "the starter was not trained to read instructions"
    assert whole.endswith("Question: When?<|end|><|assistant|> In 1900. [1]<|end|>")
    assert template.decoded(tokens.completion).strip() == "In 1900. [1]"
    forged = template.decoded(template.completion(ASKED, "No.<|end|><|user|>More"))
    assert "More" in forged, "an answer cannot end itself before its end"


def test_only_the_answer_is_learnt(dataset: Path, model: Path) -> None:
    template = Template(str(model))
    network = AutoModelForCausalLM.from_pretrained(model)
    for tokens in read(dataset / "train.jsonl", template, window=512).examples:
        row = tokens.row
        assert row["input_ids"] == tokens.prompt + tokens.completion
        assert row["labels"][: len(tokens.prompt)] == [IGNORED] * len(tokens.prompt)
        inputs = {name: torch.tensor([values]) for name, values in row.items()}
        loss, count = fit.answer_loss(network, inputs)
        assert count == len(tokens.completion)
        torch.testing.assert_close(loss / count, network(**inputs).loss)


def test_packed_loss_and_gradients_equal_separate_ones(dataset: Path, model: Path) -> None:
    template = Template(str(model))
    examples = read(dataset / "train.jsonl", template, window=512).examples
    packed = pack_dataset(Dataset.from_list([e.row for e in examples]), max(map(len, examples)) * 2, "bfd")
    assert len(packed) < len(examples)
    collate = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)
    network = AutoModelForCausalLM.from_pretrained(model)

    def gradients(batches: list[dict[str, Any]]) -> tuple[float, dict[str, torch.Tensor]]:
        network.zero_grad()
        losses = [fit.answer_loss(network, batch)[0] for batch in batches]
        torch.stack(losses).sum().backward()
        return torch.stack(losses).sum().item(), {
            name: parameter.grad.clone() for name, parameter in network.named_parameters() if parameter.grad is not None
        }

    separate_loss, separate = gradients([{n: torch.tensor([v]) for n, v in e.row.items()} for e in examples])
    packed_loss, together = gradients([collate([row]) for row in packed])
    assert packed_loss == pytest.approx(separate_loss, rel=1e-5)
    assert separate.keys() == together.keys()
    for name, gradient in separate.items():
        torch.testing.assert_close(together[name], gradient, rtol=1e-3, atol=1e-4 * gradient.abs().max().item())


def recurrent(folder: Path, like: Path) -> Path:
    """A model that carries a state along a row: short convolutions and a little attention."""
    torch.manual_seed(0)
    config = Lfm2Config(
        vocab_size=8192,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.3,
        layer_types=["conv", "full_attention"],
        eos_token_id=1,
        pad_token_id=0,
    )
    Lfm2ForCausalLM(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(like / name, folder / name)
    return folder


def test_a_model_that_would_mix_packed_examples_gets_them_one_by_one(
    dataset: Path, model: Path, tmp_path: Path, judge: Judge
) -> None:
    mixing = recurrent(tmp_path / "recurrent", model)
    examples = read(dataset / "train.jsonl", Template(str(model)), window=512).examples
    for folder, apart in ((model, True), (mixing, False)):
        network = AutoModelForCausalLM.from_pretrained(folder)
        assert fit.keeps_apart(network, examples) is apart
        assert fit.keeps_apart(network.to(torch.bfloat16), examples) is apart
    manifest = train(dataset, mixing, tmp_path / "a", judge)
    assert manifest["packed"] is False
    assert len(manifest["curves"]["training"]) == 2, "a step is as many examples as ever"


def test_what_is_too_long_is_left_out_and_counted(tmp_path: Path, model: Path) -> None:
    rows = [example(0), example(1, words=400), example(2)]
    dataset = write_dataset(tmp_path / "d", train=rows, validation=[example(3, words=400)])
    prepared = prepare(dataset, str(model), settings=QUICK, folder=tmp_path / "out")
    assert (len(prepared.train.examples), prepared.train.too_long, prepared.validation.too_long) == (2, 1, 1)
    assert "2 examples are too long" in "\n".join(prepared.lines())
    longest = [template_length(row, model) for row in (rows[0], rows[2])]
    assert [len(tokens) for tokens in prepared.train.examples] == longest
    nothing = write_dataset(tmp_path / "n", train=[example(1, words=400)])
    with pytest.raises(InputError, match="no training example"):
        prepare(nothing, str(model), settings=QUICK, folder=tmp_path / "out")


def template_length(row: dict[str, Any], model: Path) -> int:
    messages = [*row["prompt"], {"role": "assistant", "content": row["completion"]}]
    return len(Template(str(model)).tokenizer.apply_chat_template(messages, return_dict=False))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, model: Path, judge: Judge) -> tuple[Path, dict[str, Any]]:
    """An adapter that answers every question with the same words."""
    folder = tmp_path_factory.mktemp("trained")
    said = "Crimson walls. [1]"
    rows = [example(n, words=n % 3, answer=said) for n in range(12)]
    dataset = write_dataset(folder / "d", train=rows, validation=[example(n, answer=said) for n in range(20, 24)])
    settings = QUICK.model_copy(update={"rank": 16, "learning_rates": [1e-4, 2e-2], "sweep_steps": 3, "epochs": 12})
    seen: list[Mapping[str, Any]] = []
    manifest = train(dataset, model, folder / "adapter", judge, settings, report=seen.append)
    phases = [progress["phase"] for progress in seen if "phase" in progress]
    assert phases[0] == "measuring the base model"
    assert phases[1:] == ["learning rate 0.0001 (1 of 2)", "learning rate 0.02 (2 of 2)", "training", "writing"]
    steps = [progress for progress in seen if "step" in progress and "loss" in progress]
    assert all(progress["examples_per_second"] > 0 for progress in steps)
    assert steps[-1]["step"] <= steps[-1]["steps"]
    return folder / "adapter", manifest


def test_an_adapter_is_whole_and_says_what_it_was_made_of(trained: tuple[Path, dict[str, Any]], model: Path) -> None:
    folder, manifest = trained
    assert sorted(path.name for path in folder.iterdir()) == [plain.CONFIG, plain.WEIGHTS, plain.MANIFEST]
    assert [path.name for path in folder.parent.iterdir() if "work" in path.name] == []
    assert json.loads((folder / plain.MANIFEST).read_text()) == json.loads(json.dumps(manifest))
    assert manifest["base"] == model_name(str(model))
    assert manifest["rate"] == 2e-2, "the one that validated better"
    assert [(t["rate"], t["problem"]) for t in manifest["tries"]] == [(1e-4, None), (2e-2, None)]
    assert manifest["curves"]["validation"][-1][1] < manifest["curves"]["validation"][0][1]
    assert manifest["examples"] == {"train": 12, "validation": 4, "undesirable": 0, "too_long": 0}
    config = json.loads((folder / plain.CONFIG).read_text())
    assert (config["r"], config["lora_alpha"], config["base_model_name_or_path"]) == (16, 8, manifest["base"])
    layers = {name.split(".")[-3] for name in load_file(folder / plain.WEIGHTS)}
    assert layers == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_the_local_engine_serves_it(trained: tuple[Path, dict[str, Any]], model: Path) -> None:
    async def run() -> tuple[str, str]:
        engine = LocalEngine(str(model))
        await engine.load_adapter("v1", trained[0])
        asked = [Message(**m) for m in example(40)["prompt"]]
        said = []
        for adapter in (None, "v1"):
            stream = engine.stream(asked, sampling=Sampling(max_tokens=20), adapter=adapter)
            said.append("".join([delta.text async for delta in stream]))
        await engine.close()
        return said[0], said[1]

    base, tuned = asyncio.run(run())
    assert tuned.strip().startswith("Crimson walls.")
    assert "Crimson" not in base


def test_rates_are_tried_again_only_when_due(dataset: Path, model: Path, tmp_path: Path, judge: Judge) -> None:
    two = QUICK.model_copy(update={"learning_rates": [1e-3, 3e-3]})
    manifest = train(dataset, model, tmp_path / "a", judge, two, rate=5e-4, earlier=7)
    assert (manifest["rate"], manifest["tries"]) == (5e-4, [])
    without = write_dataset(tmp_path / "w", train=[example(n) for n in range(4)])
    manifest = train(without, model, tmp_path / "b", judge, two)
    assert (manifest["rate"], manifest["tries"], manifest["curves"]["validation"]) == (2e-4, [], [])
    assert train(without, model, tmp_path / "c", judge)["rate"] == 3e-3, "a single one is taken as it is"


def test_a_rate_that_diverges_is_told_and_never_taken(dataset: Path, tmp_path: Path, judge: Judge) -> None:
    wild = QUICK.model_copy(update={"learning_rates": [1e-4, 0.9], "sweep_steps": 3, "batch": 2})
    manifest = train(dataset, STARTER, tmp_path / "a", judge, wild)
    assert manifest["rate"] == 1e-4
    assert "diverged" in manifest["tries"][1]["problem"]
    only = wild.model_copy(update={"learning_rates": [0.9]})
    with pytest.raises(FielError, match="No learning rate is any use"):
        train(dataset, STARTER, tmp_path / "b", judge, only)
    assert not (tmp_path / "b").exists()


def test_it_stops_when_the_validation_gets_no_better(tmp_path: Path, calm: Path, judge: Judge) -> None:
    train_rows = [example(n, answer="Crimson walls.") for n in range(8)]
    validation = [example(n, answer="1900 indigo oceans sang.") for n in range(8)]
    dataset = write_dataset(tmp_path / "d", train=train_rows, validation=validation)
    settings = QUICK.model_copy(update={"epochs": 40, "rank": 16, "batch": 8, "learning_rates": [2e-2]})
    manifest = train(dataset, calm, tmp_path / "a", judge, settings, earlier=8)
    losses = dict(manifest["curves"]["validation"])
    assert max(losses) < 40, "it ended early"
    assert min(losses.values()) < losses[max(losses)]


def test_what_people_rejected_is_learnt_from_where_there_is_enough(
    tmp_path: Path, model: Path, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = [example(n, answer="Go away.") for n in range(4)]
    dataset = write_dataset(tmp_path / "d", train=[example(n) for n in range(6)], undesirable=bad)
    settings = QUICK.model_copy(update={"preference": "kto", "negatives": 4})
    plans: list[fit.Plan] = []
    prefer = fit.prefer

    def noted(*given: Any, **named: Any) -> fit.Curves:
        plans.append(given[3])
        return prefer(*given, **named)

    monkeypatch.setattr(fit, "prefer", noted)
    manifest = train(dataset, model, tmp_path / "a", judge, settings)
    assert manifest["examples"]["undesirable"] == 4
    assert len(manifest["curves"]["preference"]) == 3
    assert [(plan.steps, plan.accumulate) for plan in plans] == [(3, 4)], "ten examples, four in a step: each is seen"
    names = load_file(tmp_path / "a" / plain.WEIGHTS)
    assert not any("ref" in name.split(".") for name in names)
    plain.checked(tmp_path / "a", base_names={manifest["base"]})
    manifest = train(dataset, model, tmp_path / "b", judge, settings.model_copy(update={"negatives": 5}))
    assert "preference" not in manifest["curves"], "off until there are enough"


def test_learning_from_what_was_rejected_may_diverge_and_leaves_no_adapter(
    tmp_path: Path, model: Path, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "_KTO_RATE", 1e6)
    bad = [example(n, answer="Go away.") for n in range(4)]
    dataset = write_dataset(tmp_path / "d", train=[example(n) for n in range(6)], undesirable=bad)
    settings = QUICK.model_copy(update={"preference": "kto", "negatives": 4})
    with pytest.raises(FielError, match="diverged, so no adapter"):
        train(dataset, model, tmp_path / "a", judge, settings)
    assert not (tmp_path / "a").exists()


def test_a_base_without_weights_is_told(dataset: Path, tmp_path: Path, judge: Judge) -> None:
    folder = tiny_llama(tmp_path / "bare")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="with its weights as safetensors"):
        train(dataset, folder, tmp_path / "a", judge)


def test_cancelling_leaves_no_adapter_and_the_work_is_gone_on_with(
    dataset: Path, model: Path, tmp_path: Path, judge: Judge
) -> None:
    def cancel(at: Mapping[str, Any]) -> Any:
        def report(progress: Mapping[str, Any]) -> None:
            if at.items() <= progress.items():
                raise RunCancelledError("The run was cancelled.")

        return report

    settings = QUICK.model_copy(update={"learning_rates": [1e-3, 2e-3]})
    for moment in ({"measured": 2}, {"answers": 4}, {"phase": "learning rate 0.004 (3 of 3)"}, {"phase": "training"}):
        with pytest.raises(RunCancelledError):
            train(dataset, model, tmp_path / "a", judge, settings, report=cancel(moment))
        assert not (tmp_path / "a").exists()
    seen: list[Mapping[str, Any]] = []
    manifest = train(dataset, model, tmp_path / "a", judge, settings, report=seen.append)
    assert [p["phase"] for p in seen if "phase" in p] == ["training", "writing"], "no rate is tried twice"
    assert [t["rate"] for t in manifest["tries"]][:3] == [1e-3, 2e-3, 4e-3], "while the highest is the best"
    assert manifest["before"]["loss"] > min(t["loss"] for t in manifest["tries"])
    with pytest.raises(InputError, match="never change"):
        train(dataset, model, tmp_path / "a", judge)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"hours": 1e-6}, "training.hours"),
        ({"device": "cuda"}, "no GPU"),
        ({"four_bit": True}, "needs a GPU"),
        ({"four_bit": True, "device": "auto"}, "needs a GPU"),
    ],
)
def test_what_cannot_be_done_is_refused_before_it_begins(
    dataset: Path, model: Path, judge: Judge, settings: dict[str, Any], reason: str
) -> None:
    if torch.cuda.is_available() and settings.get("device", "cpu") != "cpu":
        settings, reason = {"four_bit": True}, "needs a GPU"
    with pytest.raises(FielError, match=reason):
        train(dataset, model, dataset.parent / "a", judge, QUICK.model_copy(update=settings))
    assert [path.name for path in dataset.parent.iterdir()] == ["dataset"]


def test_a_model_that_does_not_fit_is_refused(dataset: Path, tmp_path: Path, judge: Judge) -> None:
    """By its configuration alone: there are no weights."""
    folder = tiny_llama(tmp_path / "huge")
    config = json.loads((folder / "config.json").read_text())
    wide = {"hidden_size": 16_384, "intermediate_size": 65_536, "num_hidden_layers": 120, "head_dim": 4096}
    (folder / "config.json").write_text(json.dumps(config | wide))
    prepared = prepare(dataset, str(folder), settings=QUICK, folder=tmp_path / "a")
    assert prepared.estimate.memory > 500e9
    with pytest.raises(FielError, match=r"needs about [\d.,]+ GB of memory"):
        lora.train(prepared, tmp_path / "a", settings=QUICK, seed=0, judge=judge)


def test_learning_from_what_was_rejected_is_estimated_too(tmp_path: Path, model: Path) -> None:
    """It computes the logits of whole prompts, of several examples at once."""
    bad = [example(n, answer="Go away.") for n in range(4)]
    dataset = write_dataset(tmp_path / "d", train=[example(n) for n in range(6)], undesirable=bad)
    settings = QUICK.model_copy(update={"preference": "kto", "negatives": 4})
    without, with_it, few = (
        prepare(dataset, str(model), settings=changed, folder=tmp_path / "a").estimate
        for changed in (QUICK, settings, settings.model_copy(update={"negatives": 5}))
    )
    assert with_it.memory > without.memory + 20e6
    assert with_it.tokens > 2 * without.tokens
    assert (few.memory, few.tokens) == (without.memory, without.tokens)


def _command(dataset: Path, model: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "trainer.lora", "--dataset", str(dataset), "--model", str(model), "--out", str(out)]


def _environment(**training: str) -> dict[str, str]:
    quick = {"LEARNING_RATES": "[0.001]", "SWEEP_STEPS": "1", "RANK": "16", "BATCH": "1", "DEVICE": "cpu"} | training
    return os.environ | {f"FIEL_TRAINING__{name}": value for name, value in quick.items()}


def test_a_killed_training_is_gone_on_with(dataset: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "adapter"
    options: Any = {"cwd": ROOT, "env": _environment(EPOCHS="5"), "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(_command(dataset, model, out), **options) as process:
        assert process.stdout is not None
        looks = 0
        for line in process.stdout:
            looks += line.startswith("validation_loss")
            if looks == 4:  # two checkpoints, at least, are whole by now
                process.send_signal(signal.SIGKILL)
                break
    assert not out.exists()
    checkpoints = sorted((tmp_path / "work-adapter" / "supervised").glob("checkpoint-*"))
    assert checkpoints
    # The last one as a kill in the middle of writing it would have left it.
    (tmp_path / "work-adapter" / "supervised" / "checkpoint-39").mkdir()
    done = subprocess.run(_command(dataset, model, out), check=True, capture_output=True, **{**options, "stdout": None})
    assert "learning rate" not in done.stdout, "no rate is tried twice"
    first = next(line for line in done.stdout.splitlines() if line.startswith("step "))
    assert int(first.split()[1]) > 4, "the training goes on where it was"
    plain.checked(out, base_names={model_name(str(model))})
    assert not (tmp_path / "work-adapter").exists()


def test_several_processes_train_what_one_would(dataset: Path, model: Path, tmp_path: Path) -> None:
    """As on several GPUs, but on cores: each learns from its own rows, and all take the same decisions."""
    options: Any = {"cwd": ROOT, "capture_output": True, "text": True}
    options["env"] = _environment(EPOCHS="2", BATCH="4", LEARNING_RATES="[0.001, 0.002]") | {"OMP_NUM_THREADS": "1"}
    alone, together = tmp_path / "alone", tmp_path / "together"
    subprocess.run(_command(dataset, model, alone), check=True, **options)
    spread = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    subprocess.run(spread + _command(dataset, model, together)[1:], check=True, **options)
    wanted, found = (json.loads((folder / plain.MANIFEST).read_text()) for folder in (alone, together))
    assert len(found["curves"]["training"]) > 2
    for kind in ("training", "validation"):
        for (step, loss), (at, other) in zip(wanted["curves"][kind], found["curves"][kind], strict=True):
            assert (at, other) == (step, pytest.approx(loss, abs=1e-3))
    assert [t["rate"] for t in found["tries"]] == [t["rate"] for t in wanted["tries"]]
    assert found["rate"] == wanted["rate"]
    plain.checked(together, base_names={model_name(str(model))})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "dataset", "together"]


def test_a_full_disk_leaves_no_adapter_and_says_so(dataset: Path, tmp_path: Path) -> None:
    wide = tiny_llama(tmp_path / "wide", hidden_size=256, context=512)

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    out = tmp_path / "adapter"
    failed = subprocess.run(
        _command(dataset, wide, out),
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=_environment(EPOCHS="1", RANK="32"),
        preexec_fn=small_files,
    )
    assert failed.returncode == 1
    assert "could not be written" in failed.stderr or "The training failed" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not out.exists()
