"""Trains the bundled starter model from nothing but the open data, on CPU cores.

    python -m trainer.pretrain.starter --data ../shared/data --out data/models/starter --minutes 90

learns the tokenizer, starts the word vectors from counts of which tokens stand together, trains for the given time in
one single-threaded process per core, and writes the model every few minutes. The course of the training is set by the
share of the time that has passed: random tokens first, then short examples, then examples as a search serves them.

    python -m trainer.pretrain.starter --data ../shared/data --out data/models/starter --minutes 30 --resume 0.7

trains the model in ``--out`` further, as if 70 % of the time had passed.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from trainer.pretrain.starter_data import Data, draw_example, read_data, sizes_at
from trainer.pretrain.starter_examples import (
    Example,
    ExampleMaker,
    ExampleTemplate,
    random_example,
    template_of,
)
from trainer.pretrain.starter_init import CODE, prepare_heads
from trainer.pretrain.tokenizer import CHAT_TEMPLATE, load_tokenizer, train_tokenizer

HALF = torch.cpu._is_avx512_bf16_supported()
"""Whether this processor multiplies bfloat16 fast; where it does not, bfloat16 is several times slower than float32."""

_ROWS = 1024  # tokens that go through the network at once, at most
_FIRST_TOKENS = (4.0, 2.0, 2.0)  # weights of an answer's first tokens, which choose the sentence; the rest is copying


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of the network; the defaults give 13.3 M parameters (27 MB in bfloat16)."""

    vocabulary: int = 8192
    words: int = 256
    """The width of the word vectors."""
    layers: int = 6
    heads: int = 8
    head: int = 64
    hidden: int = 640
    context: int = 2048
    rope_theta: float = 1_000_000.0
    """High, so that most pairs of dimensions keep their direction over a whole prompt and can carry content."""

    @property
    def width(self) -> int:
        """Beside the word vectors there is room for codes: of each token, and of one before it for every two heads."""
        return self.words + CODE * (1 + self.heads // 2)


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train; times in seconds. ``begin`` is the progress (0 to 1) that the network starts with."""

    duration: float
    begin: float = 0.0
    step: float = 0.4
    save_every: float = 300.0
    processes: int = 2
    seed: int = 1
    learning_rate: float = 1.5e-3
    random_tokens: float = 0.15
    """Rows of random tokens are alone until a quarter of this progress, then ever fewer, down to three of ten."""
    shape: Shape = field(default_factory=Shape)


def new_network(shape: Shape, vectors: Tensor) -> LlamaForCausalLM:
    """An untrained network with these word vectors and heads that copy."""
    torch.manual_seed(0)
    config: Any = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        head_dim=shape.head,
        max_position_embeddings=shape.context,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    net = LlamaForCausalLM(config)
    net.model.embed_tokens.weight.data.zero_()[:, : shape.words] = vectors
    prepare_heads(net, words=shape.words, rope_theta=shape.rope_theta, seed=0)
    return net


def save_network(net: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes what ``AutoModelForCausalLM`` and ``AutoTokenizer`` load; the weights in bfloat16."""
    copy: Any = LlamaForCausalLM(net.config)
    copy.load_state_dict(net.state_dict())
    copy.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False, max_new_tokens=160, eos_token_id=1, pad_token_id=0, bos_token_id=None
    )
    copy.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def loss_of(net: LlamaForCausalLM, examples: Sequence[Example]) -> tuple[Tensor, float]:
    """The weighted sum of the losses of all answer tokens, and the sum of their weights."""
    longest = max(len(e.tokens) for e in examples)
    tokens = torch.zeros(len(examples), longest, dtype=torch.long)
    weights = torch.zeros(len(examples), longest - 1)
    for row, example in enumerate(examples):
        size = len(example.tokens)
        tokens[row, :size] = torch.tensor(example.tokens)
        begin = example.answer - 1
        weights[row, begin : size - 1] = 1.0
        first = min(len(_FIRST_TOKENS), size - 1 - begin)
        weights[row, begin : begin + first] = torch.tensor(_FIRST_TOKENS[:first])
    counted = weights > 0
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=HALF):
        # Without a mask attention is causal; the padding on the right is then never looked at.
        hidden = net.model(input_ids=tokens, use_cache=False).last_hidden_state[:, :-1][counted]
        logits = F.linear(hidden, net.model.embed_tokens.weight)
    losses = F.cross_entropy(logits.float(), tokens[:, 1:][counted], reduction="none")
    return (losses * weights[counted]).sum(), float(weights.sum())


@torch.no_grad()
def probe(net: LlamaForCausalLM, examples: Sequence[Example]) -> float:
    """The share of examples whose first four answer tokens are all foreseen: the right sentence, or the refusal."""
    right = 0
    for example in examples:
        end = min(example.answer + 4, len(example.tokens))
        tokens = torch.tensor(example.tokens[:end])
        hidden = net.model(input_ids=tokens[None], use_cache=False).last_hidden_state[0, example.answer - 1 : -1]
        guess = F.linear(hidden, net.model.embed_tokens.weight).argmax(-1)
        right += bool((guess == tokens[example.answer :]).all())
    return right / len(examples)


def word_vectors(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, *, shape: Shape, seed: int) -> Tensor:
    """Token vectors that begin with what tokens share: a third from the positive pointwise mutual information of
    tokens up to four apart (Levy et al. 2015), a third common to tokens of one stem whatever their case or ending, a
    third random, so that tokens alike in use can be told apart when copied. Mean 0, standard deviation 0.1."""
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
    u, s, _ = torch.svd_lowrank(pmi, q=shape.words, niter=2)
    learned = u * s.sqrt()
    learned = learned / learned.norm(dim=1, keepdim=True).clamp(min=1e-6) * math.sqrt(shape.words)
    stems: dict[str, Tensor] = {}
    common = torch.stack(
        [
            stems.setdefault(str(tokenizer.decode([token])).strip().casefold()[:5], torch.randn(shape.words))
            for token in range(size)
        ]
    )
    vectors: Tensor = learned - learned.mean(0) + common + torch.randn(size, shape.words)
    return 0.1 * vectors / vectors.std()


def train(*, net: LlamaForCausalLM, data: Data, tokenizer: PreTrainedTokenizerFast, plan: Plan, out: Path) -> None:
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
    rank: int,
    address: str,
    net: LlamaForCausalLM,
    data: Data,
    tokenizer: PreTrainedTokenizerFast,
    plan: Plan,
    out: Path,
) -> None:
    """One core's share: gathers gradients for ``plan.step`` seconds, adds them to the others', steps, repeats."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=plan.processes)
    adam = torch.optim.AdamW(net.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    source = _Source(data, tokenizer, plan, draw=random.Random(plan.seed * 1000 + rank))  # noqa: S311
    probes = probe_examples(data, tokenizer) if rank == 0 else {}
    begin, saved, tokens, step, progress = time.monotonic(), 0.0, 0.0, 0, plan.begin
    while progress < 1.0:
        adam.param_groups[0]["lr"] = plan.learning_rate * min(1.0, (step + 1) / 100, (1.0 - progress) / 0.5)
        sums = _gather_gradients(net, source, plan=plan, progress=progress)
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
                report |= {name: round(probe(net, examples), 3) for name, examples in probes.items()}
                save_network(net, tokenizer, out)
            if step % 20 == 0 or saved == elapsed:
                print(json.dumps(report), flush=True)
    dist.destroy_process_group()


class _Source:
    """Examples, a few dozen at a time, sorted by length so that little is padding."""

    def __init__(self, data: Data, tokenizer: PreTrainedTokenizerFast, plan: Plan, *, draw: random.Random) -> None:
        self._data = data
        self._maker = ExampleMaker(tokenizer=tokenizer, draw=draw)
        self._template: ExampleTemplate = template_of(tokenizer)
        self._plan = plan
        self._draw = draw
        self._ready: list[list[Example]] = []

    def next(self, progress: float) -> list[Example]:
        if not self._ready:
            examples = sorted((self._one(progress) for _ in range(64)), key=lambda e: len(e.tokens))
            batch: list[Example] = []
            for example in examples:
                if batch and len(example.tokens) * (len(batch) + 1) > _ROWS:
                    self._ready.append(batch)
                    batch = []
                batch.append(example)
            self._ready.append(batch)
            self._draw.shuffle(self._ready)
        return self._ready.pop()

    def _one(self, progress: float) -> Example:
        if self._draw.random() < max(0.3, 1.25 - progress / self._plan.random_tokens):
            size = self._plan.shape.vocabulary
            return random_example(vocabulary=size, first=5, template=self._template, draw=self._draw)
        return draw_example(self._data, self._maker, progress=progress, draw=self._draw)


def _gather_gradients(
    net: LlamaForCausalLM, source: _Source, *, plan: Plan, progress: float
) -> tuple[float, float, int]:
    """Adds up the gradients of as many rows as ``plan.step`` seconds allow: a core that other programs slow down
    holds nobody up. Returns the sums of losses, of weights and of tokens."""
    losses, weights, tokens = 0.0, 0.0, 0
    until = time.monotonic() + plan.step
    while time.monotonic() < until:
        examples = source.next(progress)
        loss, weight = loss_of(net, examples)
        torch.autograd.backward(loss)
        losses, weights = losses + loss.item(), weights + weight
        tokens += sum(len(e.tokens) for e in examples)
    return losses, weights, tokens


def _add_up(net: LlamaForCausalLM, sums: Tensor) -> list[float]:
    """Sums gradients and ``sums`` over all processes; gradients are then divided by the sum of weights, ``sums[1]``."""
    parameters = list(net.parameters())
    flat = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in parameters])
    flat = torch.cat((flat, sums.float()))
    dist.all_reduce(flat)
    total: list[float] = flat[-len(sums) :].tolist()
    flat /= max(total[1], 1e-6)
    position = 0
    for p in parameters:
        p.grad = flat[position : position + p.numel()].view_as(p).clone()
        position += p.numel()
    return total


def probe_examples(data: Data, tokenizer: PreTrainedTokenizerFast) -> dict[str, list[Example]]:
    """People's questions about the held-back titles, in short prompts and in prompts as a search serves them."""
    found: dict[str, list[Example]] = {}
    for name, progress in (("short", 0.2), ("served", 1.0)):
        draw = random.Random(7)  # noqa: S311
        maker = ExampleMaker(tokenizer=tokenizer, draw=draw)
        made = (
            maker.make(draw.choice(data.probe), data.probe[:2], sizes=sizes_at(progress), made=0.0, refusals=0.0)
            for _ in range(400)
        )
        found[name] = [example for example in made if example is not None][:120]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with qa/ and pretrain/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--resume", type=float, default=0.0, help="progress (0 to 1) to go on from")
    parser.add_argument("--characters", type=int, default=15_000_000, help="of plain text in each language")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--tokenizer", type=Path, help="folder of a tokenizer to take instead of learning one")
    for name, kind in (("learning-rate", float), ("layers", int), ("seed", int), ("step", float)):
        parser.add_argument(f"--{name}", type=kind)
    options = parser.parse_args()
    shape = Shape(**({"layers": options.layers} if options.layers else {}))
    chosen = {k: v for k in ("learning_rate", "seed", "step") if (v := getattr(options, k)) is not None}
    plan = Plan(duration=options.minutes * 60, begin=options.resume, processes=options.processes, shape=shape, **chosen)
    data = read_data(options.data, characters=options.characters, seed=plan.seed)
    texts = ["".join(d.sentences) for documents in (data.plain, data.asked) for ds in documents.values() for d in ds]
    texts = random.Random(plan.seed).sample(texts, min(len(texts), 6000))  # noqa: S311
    if options.resume:
        net, tokenizer = LlamaForCausalLM.from_pretrained(options.out, dtype=torch.float32), load_tokenizer(options.out)
    else:
        if options.tokenizer:
            tokenizer = load_tokenizer(options.tokenizer)
            tokenizer.chat_template = CHAT_TEMPLATE
        else:
            tokenizer = train_tokenizer(texts, vocabulary=shape.vocabulary, context=shape.context)
        net = new_network(shape, word_vectors(texts, tokenizer, shape=shape, seed=plan.seed))
    train(net=net, data=data, tokenizer=tokenizer, plan=plan, out=options.out)


if __name__ == "__main__":
    main()
