"""Trains the bundled starter model from nothing but the open data, on CPU cores.

    python -m trainer.pretrain.starter --data ../shared/data --out data/models/starter --minutes 66

learns the tokenizer, starts the word vectors from counts of which tokens stand together, trains for the given time in
one single-threaded process per core, and writes the model every few minutes. The course of the training is set by the
share of the time that has passed: from one short passage to several long ones, from made questions to people's.

    python -m trainer.pretrain.starter --data ../shared/data --out data/models/starter --minutes 29 --resume 0.5

trains the model in ``--out`` further, as if half of the time had passed.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from transformers import PreTrainedTokenizerFast

from trainer.pretrain.corpus import Language, Question, Text, read_questions, read_texts
from trainer.pretrain.starter_examples import Row, RowMaker, Sizes
from trainer.pretrain.starter_guidance import Looks, guidance
from trainer.pretrain.starter_init import prepare_heads
from trainer.pretrain.starter_model import Shape, Starter, branched_attention, load_starter, save_starter
from trainer.pretrain.tokenizer import load_tokenizer, train_tokenizer

HALF = torch.cpu._is_avx512_bf16_supported()
"""Whether this processor multiplies bfloat16 fast; where it does not, bfloat16 is several times slower than float32."""

HELD_BACK_TITLES = 6
"""Titles of the questions' documents that are never trained on; the probe during training uses them."""


@dataclass(frozen=True, slots=True)
class Data:
    """Documents (each a list of texts): plain text by language, and texts that people asked about by language."""

    plain: dict[str, list[list[Text]]]
    asked: dict[str, list[list[Text]]]
    probe: list[list[Text]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train; times in seconds. ``begin`` is the progress (0 to 1) that the network starts with."""

    duration: float
    begin: float = 0.0
    step: float = 0.6
    save_every: float = 240.0
    processes: int = 2
    seed: int = 1
    learning_rate: float = 1.2e-3
    copying: float = 0.02
    shape: Shape = field(default_factory=Shape)


def read_data(folder: Path, *, characters: int, seed: int) -> Data:
    """Reads the corpora; ``characters`` bounds the plain text of each language."""
    texts = read_questions(
        [folder / "qa/squad_train.jsonl", folder / "qa/faquad_train.jsonl", folder / "pretrain/qa.jsonl.xz"]
    )
    by_title: dict[str, list[Text]] = {}
    untitled = [text for text in texts if not text.title]
    for text in texts:
        if text.title:
            by_title.setdefault(text.title, []).append(text)
    documents = list(by_title.values())
    for source, group in groupby(untitled, key=lambda text: text.source):
        documents += _gather(list(group), single_sentences=source == "QAMR")
    documents = [d for d in documents if any(q.start is not None for text in d for q in text.questions)]
    squad = [title for title, group in by_title.items() if group[0].language == "en"][:HELD_BACK_TITLES]
    held_back = {id(by_title[title]) for title in squad}
    asked = [d for d in documents if id(d) not in held_back]
    languages: tuple[Language, ...] = ("en", "pt")
    plain: dict[str, list[list[Text]]] = {}
    for language in languages:
        path = folder / f"pretrain/text_{language}.jsonl.xz"
        plain[language] = [[t] for t in read_texts(path, language=language, limit=characters, seed=seed)]
    return Data(
        plain=plain,
        asked={language: [d for d in asked if d[0].language == language] for language in languages},
        probe=[by_title[title] for title in squad],
    )


def _gather(texts: list[Text], *, single_sentences: bool) -> list[list[Text]]:
    """Texts without a title as documents of six neighbours; single sentences are first joined, five to a text."""
    if single_sentences:
        texts = [_join(texts[i : i + 5]) for i in range(0, len(texts), 5)]
    return [texts[i : i + 6] for i in range(0, len(texts), 6)]


def _join(texts: Sequence[Text]) -> Text:
    sentences: list[str] = []
    questions: list[Question] = []
    for text in texts:
        offset = sum(map(len, sentences))
        questions += [replace(q, start=None if q.start is None else q.start + offset) for q in text.questions]
        sentences += [*text.sentences[:-1], text.sentences[-1] + " "]
    return replace(texts[0], sentences=tuple(sentences), questions=tuple(questions))


def sizes_at(progress: float) -> Sizes:
    """Row sizes when a share ``progress`` of the training is done. Refusals come late: their one first token would
    outweigh every single sentence before choosing is learnt."""
    if progress < 0.1:
        return Sizes((1, 2), (1, 3), 14, 450, found=0.2, refusals=0.0)
    if progress < 0.3:
        return Sizes((1, 3), (2, 5), 16, 700, found=0.4, refusals=0.0)
    if progress < 0.55:
        return Sizes((2, 4), (3, 6), 18, 1000, found=0.6, refusals=0.05)
    return Sizes((3, 4), (4, 7), 20, 1400, found=0.8, refusals=0.12)


def draw_row(data: Data, maker: RowMaker, *, progress: float, draw: random.Random) -> Row:
    """A row for this stage of the training."""
    while True:
        people = draw.random() < 0.45 + 0.3 * progress
        language = "pt" if draw.random() < (0.2 if people else 0.45) else "en"
        documents = (data.asked if people else data.plain)[language]
        others = [text for _ in range(2) for text in draw.choice(documents)[:1]]
        row = maker.make(
            draw.choice(documents),
            others,
            sizes=sizes_at(progress if draw.random() < 0.75 else progress * draw.random()),
            draw=draw,
            made=0.15 if people else 1.0,
        )
        if row is not None:
            return row


def copying_row(*, vocabulary: int, draw: random.Random) -> Row:
    """Random tokens and then the same again: what heads that copy emerge from."""
    tokens = [draw.randrange(5, vocabulary) for _ in range(draw.randint(20, 120))]
    return Row(tokens * 2, [])


def lay_out(row: Row) -> tuple[Tensor, Tensor, int]:
    """The row's tokens and their positions, branches padded to equal length, and that length."""
    context, count = len(row.context), len(row.branches)
    length = max((len(b.tokens) for b in row.branches), default=0)
    tokens = row.context + [t for b in row.branches for t in b.tokens + [0] * (length - len(b.tokens))]
    positions = torch.cat((torch.arange(context), torch.arange(context, context + length).repeat(count)))
    return torch.tensor(tokens), positions, length


def loss_of(net: Starter, row: Row, *, guide: float, draw: random.Random) -> tuple[Tensor, float]:
    """The weighted sum of the row's losses, and the sum of the tokens' weights.

    The first token of an answer, which chooses the sentence, counts five times, the next two three times; a sample of
    the context's tokens keeps the network a language model. A row without branches is a copying row: its second half
    counts. ``guide`` weighs the losses of ``guidance``.
    """
    context, count = len(row.context), len(row.branches)
    tokens, positions, length = lay_out(row)
    if count:
        at = torch.tensor(draw.choices(range(context - 1), k=context // 12))
        weights = torch.full((len(at),), 0.3)
    else:
        at = torch.arange(context // 2, context - 1)
        weights = torch.full((len(at),), 0.5)
    for number, branch in enumerate(row.branches):
        start = context + number * length + branch.answer_start - 1
        size = len(branch.tokens) - branch.answer_start
        at = torch.cat((at, torch.arange(start, start + size)))
        weights = torch.cat((weights, torch.tensor([5.0, 3.0, 3.0][:size] + [1.0] * (size - 3))))
    looks = Looks(branched_attention(context=context, branches=count))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=HALF):
        hidden = net(tokens, positions, looks)[at]
        logits = F.linear(hidden, net.embed_tokens.weight)
    loss = (F.cross_entropy(logits.float(), tokens[at + 1], reduction="none") * weights).sum()
    if guide and count:
        loss = loss + guide * guidance(looks, row, length=length, draw=draw)
    return loss, float(weights.sum())


@torch.no_grad()
def probe(net: Starter, rows: Sequence[Row]) -> float:
    """The share of branches whose first five answer tokens are all foreseen: the right sentence, span or refusal."""
    right = []
    for row in rows:
        tokens, positions, length = lay_out(row)
        hidden = net(tokens, positions, branched_attention(context=len(row.context), branches=len(row.branches)))
        for number, branch in enumerate(row.branches):
            start = len(row.context) + number * length + branch.answer_start
            size = min(5, len(branch.tokens) - branch.answer_start)
            guess = F.linear(hidden[start - 1 : start - 1 + size], net.embed_tokens.weight).argmax(-1)
            right.append(bool((guess == tokens[start : start + size]).all()))
    return sum(right) / len(right)


def word_vectors(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, *, shape: Shape, seed: int) -> Tensor:
    """Token vectors from the positive pointwise mutual information of tokens up to four apart (Levy et al. 2015),
    half of each random so that tokens alike in use can be told apart when copied; mean 0, standard deviation 0.1."""
    ids = torch.tensor([t for text in texts for t in tokenizer.encode(text, add_special_tokens=False)])
    size = shape.vocabulary
    counts = torch.zeros(size * size)
    for distance in range(1, 5):
        counts += torch.bincount(ids[:-distance] * size + ids[distance:], minlength=size * size) / distance
    counts = counts.view(size, size)
    counts = counts + counts.T
    share = counts.sum(1).clamp(min=1.0)
    context = share**0.75
    pmi = (counts * context.sum() / (share[:, None] * context[None])).clamp(min=1e-9).log().clamp(min=0)
    torch.manual_seed(seed)
    u, s, _ = torch.svd_lowrank(pmi, q=shape.width, niter=2)
    learned = u * s.sqrt()
    learned = learned / learned.norm(dim=1, keepdim=True).clamp(min=1e-6) * math.sqrt(shape.width)
    vectors: Tensor = learned - learned.mean(0) + torch.randn(size, shape.width)
    return 0.1 * vectors / vectors.std()


def new_starter(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, *, plan: Plan) -> Starter:
    """An untrained network with word vectors from the texts and prepared heads."""
    vectors = word_vectors(texts, tokenizer, shape=plan.shape, seed=plan.seed)
    net = Starter(plan.shape)
    net.embed_tokens.weight.data.copy_(vectors)
    prepare_heads(net, seed=plan.seed)
    return net


def train(*, net: Starter, data: Data, tokenizer: PreTrainedTokenizerFast, plan: Plan, out: Path) -> None:
    """Trains in ``plan.processes`` processes and leaves the model in ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as meeting:
        address = f"file://{meeting}/point"
        workers = [
            context.Process(target=_worker, args=(rank, address, net, data, tokenizer, plan, out))
            for rank in range(plan.processes)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit("A training process ended early; its message stands above.")


def _worker(  # noqa: PLR0917
    rank: int, address: str, net: Starter, data: Data, tokenizer: PreTrainedTokenizerFast, plan: Plan, out: Path
) -> None:
    """One core's share: gathers gradients for ``plan.step`` seconds, adds them to the others', steps, repeats."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=plan.processes)
    adam = torch.optim.AdamW(net.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    draw = random.Random(plan.seed * 1000 + rank)  # noqa: S311
    maker = RowMaker(tokenizer=tokenizer)
    probe_rows = list(_probe_rows(data, maker)) if rank == 0 else []
    begin, saved, tokens, step, progress = time.monotonic(), 0.0, 0.0, 0, plan.begin
    while progress < 1.0:
        adam.param_groups[0]["lr"] = plan.learning_rate * min(1.0, (step + 1) / 200, (1.0 - progress) / 0.5)
        sums = _gather_gradients(net, data, maker, plan=plan, progress=progress, draw=draw)
        loss, weight, seen, elapsed = _add_up(net, torch.tensor([*sums, time.monotonic() - begin]))
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        net.zero_grad()
        elapsed /= plan.processes
        step, tokens = step + 1, tokens + seen
        progress = plan.begin + (1.0 - plan.begin) * elapsed / plan.duration
        if rank == 0:
            report = {"step": step, "progress": round(progress, 4), "loss": round(loss / weight, 4), "tokens": tokens}
            if elapsed - saved > plan.save_every or progress >= 1.0:
                saved = elapsed
                report["probe"] = round(probe(net, probe_rows), 4)
                save_starter(net, tokenizer, out)
            if step % 20 == 0 or "probe" in report:
                print(json.dumps(report), flush=True)
    dist.destroy_process_group()


def _gather_gradients(
    net: Starter, data: Data, maker: RowMaker, *, plan: Plan, progress: float, draw: random.Random
) -> tuple[float, float, int]:
    """Adds up the gradients of as many rows as ``plan.step`` seconds allow: a core that other programs slow down
    holds nobody up. Returns the sums of losses, of weights and of tokens."""
    losses, weights, tokens = 0.0, 0.0, 0
    until = time.monotonic() + plan.step
    while time.monotonic() < until:
        if progress < plan.copying and draw.random() < 0.5:
            row = copying_row(vocabulary=net.shape.vocabulary, draw=draw)
        else:
            row = draw_row(data, maker, progress=progress, draw=draw)
        loss, weight = loss_of(net, row, guide=1.0 - progress, draw=draw)
        torch.autograd.backward(loss)
        losses, weights = losses + loss.item(), weights + weight
        tokens += len(row.context) + sum(len(b.tokens) for b in row.branches)
    return losses, weights, tokens


def _add_up(net: Starter, sums: Tensor) -> list[float]:
    """Sums gradients and ``sums`` over all processes; gradients are then divided by the sum of weights, ``sums[1]``."""
    parameters = list(net.parameters())
    flat = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in parameters])
    flat = torch.cat((flat, sums))
    dist.all_reduce(flat)
    totals: list[float] = flat[-len(sums) :].tolist()
    for parameter, gradient in zip(
        parameters, torch.split(flat, [p.numel() for p in parameters] + [len(sums)]), strict=False
    ):
        parameter.grad = gradient.view_as(parameter) / totals[1]
    return totals


def _probe_rows(data: Data, maker: RowMaker) -> Iterator[Row]:
    """Forty rows about held-back documents, as large as when the assistant serves."""
    draw = random.Random(0)  # noqa: S311
    while True:
        for document in data.probe * 5:
            row = maker.make(
                document,
                data.probe[0][:2],
                sizes=Sizes((3, 4), (4, 7), 8, 1400, found=0.0, refusals=0.0),
                draw=draw,
                made=0,
            )
            if row is not None:
                yield row
        return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with qa/ and pretrain/")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--resume", type=float, metavar="PROGRESS", help="train the model in --out further (0 to 1)")
    parser.add_argument("--characters", type=int, default=20_000_000, help="plain text of each language to read")
    options = parser.parse_args()
    seed = 1 if options.resume is None else 2
    plan = Plan(duration=60 * options.minutes, begin=options.resume or 0.0, seed=seed)
    data = read_data(options.data, characters=options.characters, seed=plan.seed)
    if options.resume is None:
        documents = [d for pool in (data.plain, data.asked) for group in pool.values() for d in group]
        sample = ["".join(text.sentences) for document in documents for text in document]
        tokenizer = train_tokenizer(sample, vocabulary=plan.shape.vocabulary, context=plan.shape.context)
        net = new_starter(sample, tokenizer, plan=plan)
    else:
        tokenizer, net = load_tokenizer(options.out), load_starter(options.out)
    train(net=net, data=data, tokenizer=tokenizer, plan=plan, out=options.out)


if __name__ == "__main__":
    main()
