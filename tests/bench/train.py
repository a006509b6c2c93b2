"""How fast training is beside TRL's defaults, which learning rate is best, and how a large log becomes a dataset.

``python -m tests.bench.train --data ../shared/data [--json PATH] [--parts speed rates dataset] [--exchanges N]``.

``speed``: the same examples of mixed length, one pass over them in a process of its own each: ours, and SFTTrainer as
it is (batches of 8, padded, no packing, gradient checkpointing) but for a window long enough to cut nothing. Tokens are
those of the examples, padding not counted. On a GPU a Llama of about a billion random weights is trained instead of the
starter, and the share of the card's rate in large matrix products is told.

``rates``: the starter tuned, in throw-away state, on answers of PolicyQA and PubMedQA, which it never saw: validation
loss and faithfulness (judge A, 95 % intervals) for each learning rate, as a table and as a plot, which lies beside the
JSON or else in the working directory.

``dataset``: a dataset from a made-up log: seconds, how many of them the judge took, who reads each example that might
be taken, and the most memory of the process.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from assistant.engines.template import STARTER, Template
from assistant.entailment import SentenceSupport, load_judge
from assistant.records import Message
from assistant.settings import ROOT, Training
from assistant.store.database import open_database, sqlite_url
from tests.bench import train_log
from trainer.dataset import build
from trainer.tokens import lines

_EXAMPLES = 64
_REPEATS = 2
_EXAMPLES_OF_LOG = 1_000  # a tenth of the default: the judge reads each, on a CPU for a third of a second
_QUESTIONS = 1_800  # of a domain, at most


def speed(data: Path, folder: Path) -> dict[str, Any]:
    model = _gpu_model(folder) or str(STARTER)
    examples = _mixed(data, folder)
    found: dict[str, list[dict[str, float]]] = {"ours": [], "trl": []}
    for _ in range(_REPEATS):  # one after the other, so that both meet the same machine
        for who, values in found.items():
            values.append(_child("--child", who, "--folder", str(examples), "--model", model))
    rate = {who: statistics.median(v["tokens"] / v["seconds"] for v in values) for who, values in found.items()}
    peak = {who: max(v["peak"] for v in values) for who, values in found.items()}
    result: dict[str, Any] = {
        "tokens_per_second": rate,
        "tokens_per_second_ratio": rate["ours"] / rate["trl"],
        "peak_bytes": peak,
        "runs": found,
    }
    for who in found:
        print(f"{who:5} {rate[who]:>9,.0f} tokens/s, {peak[who] / 1e6:>7,.0f} MB at most")
    print(f"ratio {result['tokens_per_second_ratio']:.2f} (goal 1.5)")
    first = found["ours"][0]
    print(f"estimated before it began: {first['estimated_bytes'] / 1e6:,.0f} MB, {first['estimated_seconds']:.0f} s "
          f"(it took {first['seconds']:.0f})")  # fmt: skip
    if "matrix_share" in found["ours"][0]:
        result["matrix_share"] = max(v["matrix_share"] for v in found["ours"])
        print(f"share of the card's matrix rate: {result['matrix_share']:.2f}")
    return result


def _mixed(data: Path, folder: Path) -> Path:
    """Prompts of one to eight paragraphs, as ``train.jsonl`` of a dataset."""
    draw = random.Random(0)
    rows = list(islice(lines(data / "qa" / "squad_train.jsonl"), 5_000))
    with (folder / "train.jsonl").open("w") as file:
        for row in draw.sample([row for row in rows if row["answers"]], _EXAMPLES):
            shown = [
                row["context"],
                *(other["context"] for other in draw.sample(rows, draw.choice((0, 0, 1, 2, 3, 7)))),
            ]
            text = "\n\n".join(f"[{n}] document\n{context}" for n, context in enumerate(shown, start=1))
            prompt = [{"role": "user", "content": f"{text}\n\nQuestion: {row['question']}"}]
            file.write(json.dumps({"prompt": prompt, "completion": f"{row['answers'][0]} [1]"}) + "\n")
    return folder


def _gpu_model(folder: Path) -> str | None:
    import shutil

    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    if not torch.cuda.is_available():
        return None
    config = LlamaConfig(
        vocab_size=8192, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32,
        num_key_value_heads=8, max_position_embeddings=4096, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder / "random")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(STARTER / name, folder / "random" / name)
    return str(folder / "random")


def _train(who: str, folder: Path, model: str) -> dict[str, float]:
    """One pass over the examples, in this process."""
    import torch

    from trainer import fit
    from trainer.estimate import Load, device_of, estimate, matrix_rate, threads
    from trainer.tokens import read

    torch.set_num_threads(threads())
    settings, template = Training(), Template(model)
    device = device_of(settings)
    window = 2048 if device == "cpu" else 4096
    examples = read(folder / "train.jsonl", template, window=window)
    base = fit.load_base(model, device=device, four_bit=False)
    adapted = fit.fresh_adapter(base, settings, seed=0)
    loaded = _peak(device)
    row = examples.longest if device == "cpu" else window
    rows = fit.packed(examples.examples, row)
    plan = fit.Plan(rate=1e-4, steps=rows, row=row, accumulate=1, seed=0)
    expected = estimate(model, Load(row=row, learnt=examples.size), settings=settings, folder=folder)
    started = time.perf_counter()
    if who == "ours":
        fit.supervised(
            adapted, examples.examples, (), plan, tokenizer=template.tokenizer, folder=folder / "ours",
            report=lambda _: None, short=True,
        )  # fmt: skip
    else:
        _trl(adapted, folder, template, device=device, window=window)
    seconds = time.perf_counter() - started
    found = {
        "seconds": seconds,
        "tokens": float(examples.size),
        "peak": _peak(device),
        "loaded": loaded,
        "estimated_seconds": expected.seconds,
        "estimated_bytes": expected.memory,
    }
    if device == "cuda":
        weights = sum(p.numel() for name, p in base.named_parameters() if "proj.base" in name)
        found["matrix_share"] = 4 * weights * examples.size / seconds / matrix_rate(device)
    return found


def _trl(model: Any, folder: Path, template: Template, *, device: str, window: int) -> None:
    from datasets import Dataset
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    rows = list(lines(folder / "train.jsonl"))
    told = [row | {"completion": [{"role": "assistant", "content": row["completion"]}]} for row in rows]
    fits = [row for row in told if len(template.encoded(tuple(Message(**m) for m in row["prompt"]))) < window - 64]
    arguments = SFTConfig(
        output_dir=str(folder / "trl"), max_length=window, num_train_epochs=1, use_cpu=device == "cpu",
        bf16=device == "cuda", report_to=[], disable_tqdm=True, save_strategy="no",
    )  # fmt: skip
    SFTTrainer(
        model, args=arguments, train_dataset=Dataset.from_list(fits), processing_class=template.tokenizer
    ).train()


def _peak(device: str) -> float:
    if device == "cuda":
        import torch

        return float(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def rates(data: Path, folder: Path, *, domains: list[str], steps: int, examples: int) -> dict[str, Any]:
    import torch

    from trainer import lora
    from trainer.estimate import threads
    from trainer.prepare import prepare

    torch.set_num_threads(threads())
    judge, found = load_judge("a"), {}
    settings = Training(sweep_steps=steps, epochs=1, examples=examples, distractors=0, removed=0)
    for name in domains:
        path = folder / name
        path.mkdir()
        database = train_log.real(path / "fiel.db", data / "qa" / f"{name}.jsonl", limit=_QUESTIONS, seed=0)
        card = build(database, path / "dataset", judge=judge, settings=settings, seed=0)
        database.close()
        print("\n".join(card.lines()))
        prepared = prepare(path / "dataset", str(STARTER), settings=settings, folder=path / "adapter")
        began = time.perf_counter()
        manifest = lora.train(prepared, path / "adapter", settings=settings, seed=0, judge=judge)
        found[name] = {"tries": manifest["tries"], "seconds": time.perf_counter() - began, "taken": manifest["rate"]}
        print(f"{name}: {found[name]['taken']:g} taken, {found[name]['seconds']:.0f} s")
        before, tries = manifest["before"], sorted(manifest["tries"], key=lambda attempt: attempt["rate"])
        for label, each in [("base", before), *((f"{attempt['rate']:g}", attempt) for attempt in tries)]:
            low, high = each["interval"]
            told = f"{each['faithfulness']:.3f} [{low:.3f}, {high:.3f}] of {each['items']}"
            print(f"  {label:<8} loss {each['loss']:.3f}  faithfulness {told}  {each.get('problem') or ''}", flush=True)
    return found


def plot(found: dict[str, Any], path: Path) -> None:
    """Faithfulness and validation loss over the learning rate."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(6, 6))
    for name, values in found.items():
        tries = values["tries"]
        x, y = [t["rate"] for t in tries], [t["faithfulness"] for t in tries]
        spread = [
            [t["faithfulness"] - t["interval"][0] for t in tries],
            [t["interval"][1] - t["faithfulness"] for t in tries],
        ]
        above.errorbar(x, y, yerr=spread, marker="o", capsize=3, label=name)
        below.plot(x, [t["loss"] for t in tries], marker="o", label=name)
    above.set(xscale="log", ylabel="faithfulness (judge A)", ylim=(0, 1))
    below.set(xlabel="learning rate", ylabel="validation loss")
    above.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def dataset(folder: Path, size: int) -> dict[str, Any]:
    began = time.perf_counter()
    train_log.made_up(folder / "fiel.db", size, seed=0)
    print(f"a log of {size:,} exchanges: {(folder / 'fiel.db').stat().st_size / 1e9:.1f} GB, "
          f"made in {time.perf_counter() - began:.0f} s")  # fmt: skip
    found = _child("--child", "dataset", "--folder", str(folder))
    took = f"{found['seconds']:.0f} s, {found['judging']:.0f} of them for {found['verdicts']:,.0f} verdicts"
    print(f"a dataset of {found['examples']:,.0f} examples: {took}; {found['peak'] / 1e9:.2f} GB at most (goal 1)")
    return {"exchanges": size, **found}


def _build(folder: Path) -> dict[str, float]:
    database = open_database(sqlite_url(folder / "fiel.db"))
    judge, took = load_judge("a"), []
    support = judge.support

    def timed(passages: Sequence[str], answer: str) -> list[SentenceSupport]:
        began = time.perf_counter()
        found = support(passages, answer)
        took.append(time.perf_counter() - began)
        return found

    judge.support = timed  # type: ignore[method-assign]
    began = time.perf_counter()
    card = build(database, folder / "dataset", judge=judge, settings=Training(examples=_EXAMPLES_OF_LOG), seed=0)
    seconds = time.perf_counter() - began
    database.close()
    print("\n".join(card.lines()), file=sys.stderr)
    judged = {"judging": sum(took), "verdicts": float(len(took))}
    return {"seconds": seconds, "peak": _peak("cpu"), "examples": float(card.examples["train"])} | judged


def _child(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.train", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    values: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--parts", nargs="+", default=["speed", "rates", "dataset"])
    parser.add_argument("--exchanges", type=int, default=1_000_000)
    parser.add_argument("--domains", nargs="+", default=["policyqa_dev", "pubmedqa_train"])
    parser.add_argument("--steps", type=int, default=6, help="for each learning rate")
    parser.add_argument("--examples", type=int, default=48, help="of each domain, for the learning rates")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child = options.child
        print(
            json.dumps(_build(options.folder) if child == "dataset" else _train(child, options.folder, options.model))
        )
        return
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for part in options.parts:
            folder = Path(scratch) / part
            folder.mkdir()
            if part == "speed":
                figures |= speed(options.data, folder)
            elif part == "rates":
                figures["rates"] = rates(
                    options.data, folder, domains=options.domains, steps=options.steps, examples=options.examples
                )
                picture = (options.json or Path("bench-train")).with_suffix(".png")
                plot(figures["rates"], picture)
                print(f"the plot is in {picture}")
            else:
                figures["dataset"] = dataset(folder, options.exchanges)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
