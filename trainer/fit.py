"""Supervised and preference training of a LoRA adapter by TRL and peft: the only module of the trainer that knows them.

Examples are packed into rows without padding, and the model's head is computed for the answers alone: a prompt is some
twenty times as long as its answer, and its logits are never needed.
"""

from __future__ import annotations

import inspect
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from datasets import Dataset, disable_progress_bars
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from torch.nn import functional as F  # noqa: N812
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    EarlyStoppingCallback,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint
from trl.data_utils import pack_dataset
from trl.trainer.kto_config import KTOConfig
from trl.trainer.kto_trainer import KTOTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from assistant.engines import plain
from assistant.engines.template import not_there
from assistant.errors import InputError
from assistant.settings import Training
from trainer.prepare import LOOKS, PADDED
from trainer.tokens import IGNORED, Tokens

Report = Callable[[Mapping[str, Any]], None]
"""Takes what there is to show of a training; raises what ends it, such as RunCancelledError."""

_PATIENCE = 3  # looks at the validation without a better one, and training stops
_KTO_RATE = 0.1  # of the supervised learning rate
_APART = 0.25  # of the spread of logits: in bfloat16 they differ by .02, where models mix examples by more than 2


@dataclass(slots=True)
class Curves:
    """Losses by step: of the training, and of the validation where there is one."""

    training: list[tuple[int, float]] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how: ``steps`` of ``accumulate`` rows at ``rate``.

    ``row`` is the length of a packed row; None: each example has a row of its own.
    """

    rate: float
    steps: int
    row: int | None
    accumulate: int
    seed: int
    checkpointing: bool = False


def load_base(source: str, *, device: str, four_bit: bool) -> PreTrainedModel:
    """The base model, frozen.

    Raises ModelError when its weights cannot be read, InputError where 4 bits were asked for and bitsandbytes is not
    installed.
    """
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    options: dict[str, Any] = {"dtype": dtype, "use_safetensors": True, "trust_remote_code": False}
    if four_bit:
        four = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.bfloat16)  # type: ignore[no-untyped-call]
        options |= {"quantization_config": four}
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(source, **options)
    except ImportError as error:
        raise InputError(f"training.four_bit cannot be used: {str(error).splitlines()[0]}") from error
    except (OSError, SafetensorError) as error:
        raise not_there(source, error) from error
    if "logits_to_keep" not in inspect.signature(model.forward).parameters:
        raise InputError(f"The model {source} cannot be trained: it computes all logits or none.")
    return cast(PreTrainedModel, (model if four_bit else model.to(device)).requires_grad_(False))


def fresh_adapter(base: PreTrainedModel, settings: Training, *, seed: int) -> PeftModel:
    """``base`` with a new adapter on all its linear layers; ``unload()`` gives ``base`` back as it was."""
    set_seed(seed)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        use_rslora=settings.rslora,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    plain.check(config.to_dict(), name="in training")  # type: ignore[no-untyped-call]
    return cast(PeftModel, get_peft_model(base, config))


def supervised(
    model: PeftModel,
    train: Sequence[Tokens],
    validation: Sequence[Tokens],
    plan: Plan,
    *,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    report: Report,
    short: bool = False,
) -> Curves:
    """Trains the adapter of ``model`` in place. A whole checkpoint in ``folder`` is gone on from.

    Stops early when the validation gets no better, and ends with the weights that were best on it. ``short``: a try,
    without checkpoints, measured once in the end.
    """
    looks = 0 if short or not validation else max(1, plan.steps // LOOKS)
    saves = 0 if short else looks or max(1, plan.steps // LOOKS)
    arguments = SFTConfig(
        **_common(plan, folder, device=model.device.type),
        packing=plan.row is not None,
        max_length=plan.row,
        eval_strategy="steps" if looks else "no",
        eval_steps=looks or None,
        save_strategy="steps" if saves else "no",
        save_steps=saves or 500,
        save_total_limit=2,
        load_best_model_at_end=bool(looks),
        metric_for_best_model="eval_loss",
        greater_is_better=False,
    )
    _on_one_gpu(arguments)
    callbacks: list[TrainerCallback] = [_Watch(report)]
    if looks:
        callbacks.append(EarlyStoppingCallback(_PATIENCE))
    trainer = _AnswerTrainer(
        model,
        args=arguments,
        train_dataset=_dataset(train),
        eval_dataset=_dataset(validation) if validation else None,
        processing_class=tokenizer,
        callbacks=callbacks,
    )
    trainer.measured, trainer.tell = validation, report
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=None if short else _whole_checkpoint(folder))
    if short and validation:
        trainer.evaluate()
    return _curves(trainer.state)


def _on_one_gpu(arguments: TrainingArguments) -> None:
    """By itself one process spreads its rows over all GPUs, and packed rows do not bear to be split; ``accelerate``
    makes a process for each."""
    arguments._n_gpu = min(arguments.n_gpu, 1)


def prefer(
    model: PeftModel,
    wanted: Sequence[Tokens],
    unwanted: Sequence[Tokens],
    plan: Plan,
    *,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    report: Report,
) -> Curves:
    """Kahneman-Tversky optimisation (Ethayarajh et al. 2024) of the adapter, against itself as it was before."""
    rows = [(example, True) for example in wanted] + [(example, False) for example in unwanted]
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(plan.seed)).tolist()
    each = {"wanted": len(wanted), "unwanted": len(unwanted)}
    arguments = KTOConfig(
        **_common(plan, folder, device=model.device.type, rows=PADDED) | {"learning_rate": _KTO_RATE * plan.rate},
        max_length=None,
        # Both sides weigh the same, however many there are of each.
        desirable_weight=max(1.0, each["unwanted"] / each["wanted"]),
        undesirable_weight=max(1.0, each["wanted"] / each["unwanted"]),
        save_strategy="no",
    )
    _on_one_gpu(arguments)
    dataset = Dataset.from_list(
        [{"prompt_ids": rows[n][0].prompt, "completion_ids": rows[n][0].completion, "label": rows[n][1]} for n in order]
    )
    trainer = _TokenKTOTrainer(
        model, args=arguments, train_dataset=dataset, processing_class=tokenizer, callbacks=[_Watch(report)]
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    model.delete_adapter("ref")
    return _curves(trainer.state)


def keeps_apart(model: PreTrainedModel, examples: Sequence[Tokens]) -> bool:
    """Whether the model reads an example of a packed row as if it were alone.

    Recurrent models (Mamba, LFM2, Qwen3-Next) carry a state along the row, and some old ones (OPT, Bloom) take their
    positions from the row.
    """
    first, second = min(examples, key=len), max(examples, key=len)
    places = [torch.arange(len(part.prompt), device=model.device) for part in (first, second)]
    row = torch.tensor([first.prompt + second.prompt], device=model.device)
    border, beginning = len(first.prompt), torch.arange(2, device=model.device)
    options: dict[str, Any] = {"use_cache": False}
    model.train(False)
    with torch.no_grad():
        alone = model(row[:, border:], position_ids=places[1][None], logits_to_keep=beginning, **options)
        packed = model(row, position_ids=torch.cat(places)[None], logits_to_keep=border + beginning, **options)
    wanted, found = alone.logits.float(), packed.logits.float()
    return bool((wanted - found).abs().max() < _APART * wanted.std())


def diverged(model: PeftModel, curves: Curves) -> bool:
    """Whether a loss, or a weight of the adapter, is no number."""
    losses = [loss for _, loss in curves.training + curves.validation]
    weights = (weight for weight in model.parameters() if weight.requires_grad)
    return not all(map(math.isfinite, losses)) or not all(bool(torch.isfinite(weight).all()) for weight in weights)


def packed(examples: Sequence[Tokens], row: int) -> int:
    """How many rows of at most ``row`` tokens the examples are packed into."""
    return len(pack_dataset(_dataset(examples), row, "bfd"))


def answer_loss(model: torch.nn.Module, inputs: dict[str, Any]) -> tuple[torch.Tensor, int]:
    """The summed loss over the answers of one packed row, and how many tokens they have."""
    labels = inputs["labels"][0, 1:]
    places = (labels != IGNORED).nonzero().flatten()
    rest = {name: value for name, value in inputs.items() if name != "labels"}
    logits = model(**rest, use_cache=False, logits_to_keep=places).logits[0]
    loss = F.cross_entropy(logits.float(), labels[places], reduction="sum")
    return loss, len(places)


class _AnswerTrainer(SFTTrainer):
    """TRL computes the head for every position on a CPU, and on any device the entropy too, for its own figures."""

    measured: Sequence[Tokens] = ()
    """What ``evaluate`` measures."""
    tell: Report = staticmethod(lambda _progress: None)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, _ = answer_loss(model, inputs)
        return loss * self.accelerator.num_processes / torch.as_tensor(num_items_in_batch).clamp(min=1)

    def evaluate(self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval") -> Any:
        """Each process measures all, so all come to the same decisions."""
        loss = validation_loss(cast(PeftModel, self.model), self.measured, report=self.tell)
        metrics = {f"{metric_key_prefix}_loss": loss}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class _TokenKTOTrainer(KTOTrainer):
    """Takes examples as the tokens that the model is asked with, instead of rendering them in TRL's way."""

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, dataset_name: str) -> Any:
        def mismatched(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
            answers = rows["completion_ids"]
            return rows | {"KL_completion_ids": [answers[-1], *answers[:-1]]}

        return dataset.map(mismatched, batched=True, batch_size=args.per_device_train_batch_size)


class _Watch(TrainerCallback):
    """Passes on how far a training is, and stops it where the loss is no number any more."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **_: Any
    ) -> None:
        found = logs or {}
        if "loss" in found:
            self._report({"step": state.global_step, "steps": state.max_steps, "loss": found["loss"]})
            if not math.isfinite(found["loss"]):
                control.should_training_stop = True
        if "eval_loss" in found:
            self._report({"validation_loss": found["eval_loss"]})


def _common(plan: Plan, folder: Path, *, device: str, rows: int = 1) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "learning_rate": plan.rate,
        "max_steps": plan.steps,
        "lr_scheduler_type": "cosine",
        "warmup_steps": min(10, plan.steps // 10),
        "per_device_train_batch_size": rows,
        "gradient_accumulation_steps": math.ceil(plan.accumulate / rows),
        "activation_checkpointing": plan.checkpointing,
        "use_cpu": device == "cpu",
        "bf16": device == "cuda",
        "seed": plan.seed,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # a loss that is no number is to be seen
        "disable_tqdm": True,
        "report_to": [],
        "dataloader_pin_memory": device == "cuda",
    }


def _curves(state: TrainerState) -> Curves:
    logged = state.log_history
    return Curves(
        training=[(int(entry["step"]), entry["loss"]) for entry in logged if "loss" in entry],
        validation=[(int(entry["step"]), entry["eval_loss"]) for entry in logged if "eval_loss" in entry],
    )


def validation_loss(model: PreTrainedModel | PeftModel, examples: Sequence[Tokens], *, report: Report) -> float:
    """The mean loss over all tokens of all answers; ``report`` hears after each, so that it can end this."""
    total, count = 0.0, 0
    model.eval()
    with torch.no_grad():
        for number, example in enumerate(examples, start=1):
            inputs = {name: torch.tensor([ids], device=model.device) for name, ids in example.row.items()}
            loss, tokens = answer_loss(model, inputs)
            total, count = total + loss.item(), count + tokens
            report({"measured": number})
    return total / max(1, count)


def _dataset(examples: Sequence[Tokens]) -> Dataset:
    disable_progress_bars()  # ours is told by report
    return Dataset.from_list([example.row for example in examples])


def _whole_checkpoint(folder: Path) -> str | None:
    """The last checkpoint whose last file was written to its end; what a kill left half is none."""
    while folder.exists():
        found: str | None = get_last_checkpoint(str(folder))  # type: ignore[no-untyped-call]
        if found is None:
            break
        try:
            json.loads((Path(found) / "trainer_state.json").read_text())
        except (OSError, ValueError):
            with suppress(FileNotFoundError):  # of several processes, another one was faster
                os.rename(found, f"{found}.half")
        else:
            return found
    return None
