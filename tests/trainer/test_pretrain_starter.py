"""The starter's training examples say what is true, its shared rows equal separate prompts, and its export is whole."""

from __future__ import annotations

import math
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F  # noqa: N812
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from assistant import prompts
from trainer.pretrain.corpus import Question, Text, split_sentences
from trainer.pretrain.starter import copying_row, lay_out, loss_of
from trainer.pretrain.starter_examples import Row, RowMaker, Sizes
from trainer.pretrain.starter_guidance import Looks, guidance
from trainer.pretrain.starter_init import prepare_heads
from trainer.pretrain.starter_model import Shape, Starter, branched_attention, load_starter, save_starter
from trainer.pretrain.tokenizer import train_tokenizer

TINY = Shape(vocabulary=700, width=64, layers=2, heads=2, head_width=32, hidden=64, context=1024)
CITIES = ("Lisbon", "Oslo", "Quito", "Dakar", "Turin", "Perth", "Hanoi", "Lagos")


def _text(number: int) -> Text:
    city, dug = CITIES[number], f"18{number}4"
    body = (
        f"{city} has {number + 3} stone bridges over its river. The harbour of {city} was dug in {dug} by monks. "
        f"Each spring a fair of wool fills the square of {city}. Trams in {city} are painted the colour of mustard."
    )
    asked = Question(f"When was the harbour of {city} dug?", dug, body.index(dug))
    return Text(city, "made for this test", "en", split_sentences(body), (asked,))


TEXTS = [_text(n) for n in range(len(CITIES))]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    lines = ["".join(text.sentences) for text in TEXTS] + [prompts.SYSTEM]
    return train_tokenizer(lines, vocabulary=TINY.vocabulary, context=TINY.context)


def _rows(tokenizer: PreTrainedTokenizerFast, *, count: int) -> list[Row]:
    maker, draw = RowMaker(tokenizer=tokenizer), random.Random(3)
    sizes = Sizes(passages=(2, 3), sentences=(2, 3), branches=8, context=900, found=0.5, refusals=0.3)
    made = (maker.make(TEXTS[:4], TEXTS[4:], sizes=sizes, draw=draw, made=0.5) for _ in range(count))
    return [row for row in made if row is not None]


def test_answers_stand_in_the_passage_they_cite_and_refused_ones_in_none(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    cited = refused = 0
    for row in _rows(tokenizer, count=60):
        user = tokenizer.decode(row.context).rpartition("<|user|>")[2]
        passages = re.split(r"(?:^|\n\n)\[\d+\] [^\n]*\n", user)[1:]
        for branch in row.branches:
            question = tokenizer.decode(branch.tokens[: branch.answer_start])
            answer = tokenizer.decode(branch.tokens[branch.answer_start :])
            if prompts.is_refusal(answer.removesuffix("<|end|>")):
                refused += 1
                city = re.search(r"harbour of (\w+) dug\?", question)
                assert city is None or f"The harbour of {city[1]} was dug" not in user
            elif mark := re.fullmatch(r" (.*) \[(\d+)\]<\|end\|>", answer):
                cited += 1
                assert mark[1] in passages[int(mark[2]) - 1]
                assert branch.source is not None
                assert tokenizer.decode(row.context[slice(*branch.source)]).strip() == mark[1]
                spelled = [row.context[at] for at in branch.copied[1:]]
                assert spelled == branch.tokens[branch.answer_start + 1 :][: len(spelled)]
    assert cited > 40
    assert refused > 5


def test_a_row_spells_the_prompt_of_serving(tokenizer: PreTrainedTokenizerFast) -> None:
    row = _rows(tokenizer, count=3)[0]
    for branch in row.branches:
        joined = tokenizer.decode(row.context + branch.tokens)
        assert tokenizer.encode(joined, add_special_tokens=False) == row.context + branch.tokens
        assert joined.startswith(f"<|system|>{prompts.SYSTEM}<|end|>")


def test_each_branch_reads_as_if_it_were_alone_and_the_export_agrees(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    save_starter(Starter(TINY), tokenizer, tmp_path)
    llama = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    net = load_starter(tmp_path)
    assert net.shape == TINY
    context, branches = torch.randint(5, 700, (30,)), torch.randint(5, 700, (3, 8))
    positions = torch.cat((torch.arange(30), torch.arange(30, 38).repeat(3)))
    with torch.no_grad():
        hidden = net(torch.cat((context, branches.flatten())), positions, branched_attention(context=30, branches=3))
        for number, branch in enumerate(branches):
            alone = llama(torch.cat((context, branch))[None]).logits[0, 30:]
            shared = F.linear(hidden[30 + 8 * number : 38 + 8 * number], net.embed_tokens.weight)
            torch.testing.assert_close(shared, alone, rtol=1e-4, atol=1e-4)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    turn = loaded.apply_chat_template([{"role": "user", "content": "olá"}], tokenize=False, add_generation_prompt=True)
    assert turn == "<|user|>olá<|end|><|assistant|>"


def test_prepared_heads_copy_before_any_training_and_a_few_steps_lower_the_loss(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    torch.manual_seed(0)
    net = Starter(Shape(vocabulary=700))
    torch.nn.init.normal_(net.embed_tokens.weight, std=0.1)
    prepare_heads(net, seed=0)
    tokens = torch.tensor(copying_row(vocabulary=700, draw=random.Random(0)).context)
    half = len(tokens) // 2
    with torch.no_grad():
        hidden = net(tokens, torch.arange(len(tokens)), branched_attention(context=len(tokens), branches=0))
    guesses = F.linear(hidden[half:-1], net.embed_tokens.weight).argmax(-1)
    assert (guesses == tokens[half + 1 :]).float().mean() > 0.3

    rows, draw = _rows(tokenizer, count=3), random.Random(0)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    losses = []
    for _ in range(6):
        parts = [loss_of(net, row, guide=1.0, draw=draw) for row in rows]
        loss = sum(part for part, _ in parts) / sum(weight for _, weight in parts)
        assert isinstance(loss, torch.Tensor)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_guidance_measures_where_the_guided_heads_look(tokenizer: PreTrainedTokenizerFast) -> None:
    """With all queries zero attention is even, so that what rests on a span follows from its length."""
    torch.manual_seed(0)
    net = Starter(Shape(vocabulary=700, width=64, layers=3, heads=4, head_width=16, hidden=64, context=1024))
    for layer in net.layers:
        torch.nn.init.zeros_(layer.get_submodule("self_attn").get_parameter("q_proj.weight"))
    row = next(r for r in _rows(tokenizer, count=20) if len(r.branches) > 1 and r.branches[-1].source is None)
    tokens, positions, length = lay_out(row)
    looks = Looks(branched_attention(context=len(row.context), branches=len(row.branches)))
    with torch.no_grad():
        net(tokens, positions, looks)
        measured = guidance(looks, replace(row, sentences=[(3, 4)]), length=length, draw=random.Random(0)).item()
    expected = 0.0
    for branch in row.branches:
        seen = len(row.context) + branch.answer_start
        expected += 0.5 * math.log(seen / (branch.answer_start - 6))
        if branch.source is not None:
            first, last = branch.source
            expected += 3.0 * math.log(seen / (last - first)) + 2.0 * math.log(seen)
            expected += sum(0.3 * math.log(seen + step) for step in range(1, len(branch.copied[:8])))
    assert measured == pytest.approx(expected, rel=1e-4)
