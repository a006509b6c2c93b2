"""From a dataset to a LoRA adapter: fresh from the base model, at the learning rate that validates best.

    python -m trainer.lora --dataset FOLDER --model MODEL --out FOLDER [--seed N] [--dry-run]

The adapter's folder appears as a whole, its manifest written last. Until then all lies in a work folder beside it: a
training that was killed goes on from there when it is started again with the same dataset, model and settings.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peft import PeftModel
from safetensors import SafetensorError
from transformers import PreTrainedModel

from assistant import prompts
from assistant import settings as configuration
from assistant.engines import plain
from assistant.engines.base import model_name
from assistant.entailment import Judge, load_judge
from assistant.errors import FielError
from assistant.settings import Training
from trainer import fit, rates
from trainer.answers import Answer, answered, faithful
from trainer.estimate import threads
from trainer.prepare import ANSWERED, Prepared, epoch, prefers, prepare, steps
from trainer.progress import Progress
from trainer.rates import Try
from trainer.tokens import Tokens
from trainer.work import Work, write_whole
from trainer.worker import stand_back

_LIBRARIES = ("torch", "transformers", "peft", "trl", "accelerate", "safetensors")


def train(
    prepared: Prepared,
    out: Path,
    *,
    settings: Training,
    seed: int,
    judge: Judge,
    rate: float | None = None,
    report: fit.Report = lambda _progress: None,
) -> dict[str, Any]:
    """Trains an adapter into the new folder ``out`` and returns its manifest.

    ``rate`` is the learning rate to take where none are tried. ``report`` hears of the progress and may raise what
    ends the training; whatever does, ``out`` is there as a whole or not at all.

    Raises FielError when there is too little memory, disk or time, or when no learning rate is any use.
    """
    prepared.estimate.check(settings)
    with _explained(out):
        return _Trainer(prepared, out, settings=settings, seed=seed, judge=judge, report=report).run(rate)


class _Trainer:
    def __init__(
        self, prepared: Prepared, out: Path, *, settings: Training, seed: int, judge: Judge, report: fit.Report
    ) -> None:
        self._prepared = prepared
        self._out = out
        self._settings = settings
        self._seed = seed
        self._judge = judge
        self._work = Work.open(out, self._fingerprint())
        self._steps = steps(len(prepared.train.examples), settings)
        self._row: int | None = prepared.row
        self._progress = Progress(report, batch=settings.batch, expected=prepared.estimate.seconds)
        # Questions that have an answer: what a refusal rests on is another matter.
        self._asked = [e for e in prepared.validation.examples if not self._refuses(e)][:ANSWERED]

    def run(self, rate: float | None) -> dict[str, Any]:
        prepared, settings = self._prepared, self._settings
        base = fit.load_base(prepared.template.source, device=prepared.estimate.device, four_bit=settings.four_bit)
        if not fit.keeps_apart(base, prepared.train.examples):
            self._row = None
        tries = self._tries(base) if prepared.sweep else []
        if tries:
            chosen = rates.best(tries)
            if chosen is None:
                told = "; ".join(f"{each.rate:g} {each.problem}" for each in tries)
                raise FielError(f"No learning rate is any use, so no adapter was made: {told}.")
            rate = chosen.rate
        elif len(settings.learning_rates) == 1:
            rate = settings.learning_rates[0]
        rate = rate or rates.UNMEASURED
        model = fit.fresh_adapter(base, settings, seed=self._seed)
        curves = self._supervise(model, rate)
        preferred = self._prefer(model, rate)
        return self._write(model, rate, tries, curves, preferred)

    def _tries(self, base: PreTrainedModel) -> list[Try]:
        """One for each learning rate; those that an earlier, killed process finished are not made again."""
        before: tuple[float, list[Answer], list[float]] | None = None
        planned = self._settings.learning_rates
        while (rate := rates.following(self._work.tries, planned)) is not None:
            if before is None:
                self._progress.phase("measuring the base model")
                before = self._validation_loss(base), *self._measured(base)
                self._work.note_base(_told(Try(0.0, loss=before[0], faithfulness=before[2])))
            n = len(self._work.tries) + 1
            self._progress.phase(f"learning rate {rate:g} ({n} of {max(n, len(planned))})")
            model = fit.fresh_adapter(base, self._settings, seed=self._seed)
            self._work.add(self._try(model, rate, *before))
            base = model.unload()
            self._progress.show(tries=[_told(each) for each in self._work.tries])
        return self._work.tries

    def _try(self, model: PeftModel, rate: float, loss: float, answers: list[Answer], faith: list[float]) -> Try:
        plan = self._plan(rate, steps=min(self._settings.sweep_steps, self._steps))
        curves = self._fit(model, plan, folder=self._work.folder / "try", short=True)
        attempt = Try(rate, curves.training, curves.validation[-1][1])
        written, attempt.faithfulness = self._measured(model)
        attempt.problem = rates.divergence(attempt, before=loss, answers=written, base=answers)
        if attempt.problem is None and rates.worse(attempt.faithfulness, faith):
            attempt.problem = "answers became less faithful"
        return attempt

    def _validation_loss(self, model: PreTrainedModel) -> float:
        return fit.validation_loss(model, self._prepared.validation.examples, report=self._progress.step)

    def _measured(self, model: Any) -> tuple[list[Answer], list[float]]:
        """The answers to validation questions, and how faithful each is."""
        answers = answered(
            model, self._asked, self._prepared.template, report=lambda done: self._progress.show(answers=done)
        )
        pairs = zip(answers, self._asked, strict=True)
        return answers, [faithful(answer, asked.passages, self._judge) for answer, asked in pairs]

    def _supervise(self, model: PeftModel, rate: float) -> fit.Curves:
        self._progress.phase("training")
        plan = self._plan(rate, steps=self._steps)
        curves = self._fit(model, plan, folder=self._work.folder / "supervised")
        return _sound(model, curves, rate)

    def _prefer(self, model: PeftModel, rate: float) -> fit.Curves | None:
        unwanted, wanted = self._prepared.undesirable.examples, self._prepared.train.examples
        if not prefers(self._prepared.undesirable, self._settings):
            return None
        self._progress.phase("learning from what was rejected")
        # Here rows are not packed: a step takes a batch of single examples, and all are seen once.
        batch = self._settings.batch
        steps = max(1, math.ceil((len(wanted) + len(unwanted)) / batch))
        plan = replace(self._plan(rate, steps=steps), accumulate=math.ceil(batch / _processes()))
        curves = fit.prefer(
            model,
            wanted,
            unwanted,
            plan,
            tokenizer=self._prepared.template.tokenizer,
            folder=self._work.folder / "preference",
            report=self._progress.step,
        )
        return _sound(model, curves, rate)

    def _fit(self, model: PeftModel, plan: fit.Plan, *, folder: Path, short: bool = False) -> fit.Curves:
        return fit.supervised(
            model,
            self._prepared.train.examples,
            self._prepared.validation.examples,
            plan,
            tokenizer=self._prepared.template.tokenizer,
            folder=folder,
            report=self._progress.step,
            short=short,
        )

    def _plan(self, rate: float, *, steps: int) -> fit.Plan:
        examples = self._prepared.train.examples
        rows = fit.packed(examples, self._row) if self._row else len(examples)
        return fit.Plan(
            rate=rate,
            steps=steps,
            row=self._row,
            accumulate=max(1, round(rows / epoch(len(examples), self._settings) / _processes())),
            seed=self._seed,
            checkpointing=self._prepared.estimate.checkpointing,
        )

    def _refuses(self, example: Tokens) -> bool:
        return prompts.is_refusal(self._prepared.template.decoded(example.completion).strip())

    def _fingerprint(self) -> str:
        parts = (self._prepared.card.hash, model_name(self._prepared.template.source), self._settings, self._seed)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def _write(
        self, model: PeftModel, rate: float, tries: list[Try], curves: fit.Curves, preferred: fit.Curves | None
    ) -> dict[str, Any]:
        """The folder of the adapter: whole, or not there. Of several processes, the first writes."""
        self._progress.phase("writing")
        prepared, base = self._prepared, model_name(self._prepared.template.source)
        manifest = {
            "base": base,
            "prompt_version": prompts.VERSION,
            "template": _digest(str(prepared.template.tokenizer.chat_template)),
            "dataset": prepared.card.hash,
            "judge": self._judge.name,
            "examples": {
                "train": len(prepared.train.examples),
                "validation": len(prepared.validation.examples),
                "undesirable": len(prepared.undesirable.examples) if preferred else 0,
                "too_long": prepared.train.too_long + prepared.validation.too_long,
            },
            "settings": self._settings.model_dump(mode="json"),
            "packed": self._row is not None,
            "rate": rate,
            "seed": self._seed,
            "before": self._work.base,
            "tries": [_told(each) for each in tries],
            "curves": asdict(curves) | ({"preference": preferred.training} if preferred else {}),
            "seconds": round(self._progress.seconds),
            "libraries": {name: version(name) for name in _LIBRARIES},
            "created_at": datetime.now(UTC).isoformat(),
        }
        if os.environ.get("RANK", "0") != "0":
            return manifest
        incoming = self._work.folder / "adapter"
        shutil.rmtree(incoming, ignore_errors=True)
        model.save_pretrained(str(incoming), selected_adapters=["default"])
        (incoming / "README.md").unlink(missing_ok=True)
        _note_base(incoming / plain.CONFIG, base)
        write_whole(incoming / plain.MANIFEST, manifest)
        plain.checked(incoming, base_names={base})
        incoming.rename(self._out)
        shutil.rmtree(self._work.folder, ignore_errors=True)
        return manifest


@contextmanager
def _explained(out: Path) -> Iterator[None]:
    """What goes wrong in the libraries, in words for people."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError, MemoryError) as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        place = next(parent for parent in out.parents if parent.exists())
        if shutil.disk_usage(place).free < 50e6 or isinstance(error, OSError):
            raise FielError(f"The adapter could not be written to {place}: {reason}. No adapter was made.") from error
        raise FielError(f"The training failed: {reason}. No adapter was made.") from error


def _sound(model: PeftModel, curves: fit.Curves, rate: float) -> fit.Curves:
    """The curves of a stage that may be gone on from. Raises FielError where it diverged."""
    if fit.diverged(model, curves):
        raise FielError(f"The training at the learning rate {rate:g} diverged, so no adapter was made.")
    return curves


def _told(attempt: Try) -> dict[str, Any]:
    return {
        "rate": attempt.rate,  # 0 for the base model
        "loss": attempt.loss,
        "faithfulness": attempt.mean,
        "interval": rates.interval(attempt.faithfulness),
        "items": len(attempt.faithfulness),
        "problem": attempt.problem,
        "training": attempt.training,
    }


def _note_base(path: Path, base: str) -> None:
    """peft writes the path of the base model, which tells of this machine and means nothing on another."""
    config = json.loads(path.read_text(encoding="utf-8"))
    write_whole(path, config | {"base_model_name_or_path": base})


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, help="a folder that trainer.dataset made")
    parser.add_argument("--model", required=True, help="the base model: a folder or a hub name")
    parser.add_argument("--out", type=Path, help="the folder to make; it must not exist")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dry-run", action="store_true", help="say what it would take and train nothing")
    options = parser.parse_args()
    try:
        chosen = configuration.load().training
        stand_back(chosen.niceness, threads=threads())
        out = options.out or options.dataset.with_name(f"adapter-{options.dataset.name}")
        prepared = prepare(options.dataset, options.model, settings=chosen, folder=out)
        print("\n".join(prepared.lines()), flush=True)
        prepared.estimate.check(chosen)
        if not options.dry_run:
            train(prepared, out, settings=chosen, seed=options.seed, judge=load_judge("a"), report=_print)
            print(f"The adapter is in {out}.")
    except FielError as error:
        print(f"fiel: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from here.", file=sys.stderr)
        return 130
    return 0


def _processes() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _print(progress: Mapping[str, Any]) -> None:
    told = "  ".join(f"{name} {value}" for name, value in progress.items() if name not in {"tries", "measured"})
    if told:
        print(told, flush=True)


if __name__ == "__main__":
    sys.exit(main())
