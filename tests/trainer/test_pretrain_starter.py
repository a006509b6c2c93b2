"""The starter's training examples say what is true, in the prompt of serving, and a few steps teach and export."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from assistant import prompts
from trainer.pretrain.corpus import Question, Text, split_sentences
from trainer.pretrain.starter import Shape, loss_of, new_network, probe, save_network, word_vectors
from trainer.pretrain.starter_examples import (
    Document,
    Example,
    ExampleMaker,
    Sizes,
    document_of,
    random_example,
    template_of,
)
from trainer.pretrain.tokenizer import train_tokenizer

TINY = Shape(vocabulary=700, words=64, layers=2, heads=4, hidden=64, context=1024)
CITIES = ("Lisbon", "Oslo", "Quito", "Dakar", "Turin", "Perth", "Hanoi", "Lagos")
SIZES = Sizes(windows=3, sentences=3, tokens=900)


def _text(number: int) -> Text:
    city, dug = CITIES[number], f"18{number}4"
    body = (
        f"{city} has {number + 3} stone bridges over its river. The harbour of {city} was dug in {dug} by monks. "
        f"Each spring a fair of wool fills the square of {city}. Trams in {city} are painted the colour of mustard."
    )
    asked = Question(f"When was the harbour of {city} dug?", dug, body.index(dug))
    return Text(city, "made for this test", "en", split_sentences(body), (asked,))


DOCUMENTS = [document_of([_text(n), _text(n + 4)]) for n in range(4)]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    lines = ["".join(document.sentences) for document in DOCUMENTS] + [prompts.SYSTEM]
    return train_tokenizer(lines, vocabulary=TINY.vocabulary, context=TINY.context)


def _examples(tokenizer: PreTrainedTokenizerFast, *, count: int, refusals: float = 0.3) -> list[Example]:
    maker = ExampleMaker(tokenizer=tokenizer, draw=random.Random(3))
    made = (
        maker.make(DOCUMENTS[n % 4], [DOCUMENTS[(n + 1) % 4]], sizes=SIZES, made=0.5, refusals=refusals)
        for n in range(count)
    )
    return [example for example in made if example is not None]


def test_questions_of_several_texts_point_into_the_joined_document() -> None:
    document = document_of([_text(0), _text(1)])
    assert [document.sentences[asked.first].strip() for asked in document.asked] == [
        "The harbour of Lisbon was dug in 1804 by monks.",
        "The harbour of Oslo was dug in 1814 by monks.",
    ]
    assert document.sentences[3].endswith("\n\n")


def test_answers_stand_in_the_passage_they_cite_and_refused_ones_in_none(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    cited = refused = 0
    for example in _examples(tokenizer, count=300):
        prompt = tokenizer.decode(example.tokens[: example.answer])
        answer = tokenizer.decode(example.tokens[example.answer :])
        _, *passages, _ = re.split(r"\n\n(?:\[\d+\] [^\n]*\n|Question: )", prompt)
        if prompts.is_refusal(answer.removesuffix("<|end|>")):
            refused += 1
            city = re.search(r"(?i)harbour of (\w+) dug", prompt.rpartition("Question: ")[2])
            assert city is None or f"the harbour of {city[1]} was dug".lower() not in prompt.lower()
        elif mark := re.fullmatch(r" (.*) \[(\d+)\]<\|end\|>", answer):
            cited += 1
            shown = re.sub(r">> | <<", "", passages[int(mark[2]) - 1])
            assert mark[1] in " ".join(shown.split())
        else:
            pytest.fail(f"neither an answer nor a refusal: {answer}")
    assert cited > 100
    assert refused > 20


def test_an_example_spells_the_prompt_of_serving(tokenizer: PreTrainedTokenizerFast) -> None:
    for example in _examples(tokenizer, count=20):
        text = tokenizer.decode(example.tokens)
        assert tokenizer.encode(text, add_special_tokens=False) == example.tokens
        last = text.split("<|user|>")[-1]
        asked = re.match(r"Question: [^\n]*\n", last)
        assert asked is not None
        assert f"\n\n{asked[0].strip()}<|end|><|assistant|> " in last


def test_made_questions_need_no_people(tokenizer: PreTrainedTokenizerFast) -> None:
    plain = Document("Fares", "en", DOCUMENTS[0].sentences, ())
    maker = ExampleMaker(tokenizer=tokenizer, draw=random.Random(1))
    made = [maker.make(plain, [], sizes=SIZES, made=1.0, refusals=0.0) for _ in range(40)]
    assert sum(example is not None for example in made) > 10


def test_random_rows_ask_for_words_of_the_sentence_that_answers(tokenizer: PreTrainedTokenizerFast) -> None:
    template, draw = template_of(tokenizer), random.Random(5)
    for _ in range(50):
        example = random_example(vocabulary=700, first=5, template=template, draw=draw)
        prompt, answer = example.tokens[: example.answer], example.tokens[example.answer :]
        said = answer[: answer.index(template.stop)]
        at = next(i for i in range(len(prompt)) if prompt[i : i + len(said)] == said)
        begin = len(template.begin) + len(template.question)
        asked = prompt[begin : prompt.index(template.opening[0][0], begin)]
        assert set(asked) <= set(said)
        assert at > begin


def test_padding_changes_nothing_and_a_few_steps_lower_the_loss(tokenizer: PreTrainedTokenizerFast) -> None:
    torch.manual_seed(0)
    vectors = word_vectors(["".join(d.sentences) for d in DOCUMENTS], tokenizer, shape=TINY, seed=1)
    net = new_network(TINY, vectors)
    examples = _examples(tokenizer, count=8)
    together, weight = loss_of(net, examples)
    alone = [loss_of(net, [example]) for example in examples]
    assert together.item() == pytest.approx(sum(loss.item() for loss, _ in alone), rel=2e-2)
    assert weight == sum(w for _, w in alone)

    optimizer, losses = torch.optim.AdamW(net.parameters(), lr=1e-3), []
    for _ in range(24):
        loss, weight = loss_of(net, examples)
        (loss / weight).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_the_probe_knows_right_from_wrong(tokenizer: PreTrainedTokenizerFast) -> None:
    net = new_network(TINY, torch.randn(TINY.vocabulary, TINY.words) * 0.05)
    example = _examples(tokenizer, count=4)[0]
    tokens = example.tokens[: example.answer + 4]
    for at in range(example.answer, len(tokens)):
        tokens[at] = int(net(torch.tensor(tokens[:at])[None]).logits[0, -1].argmax())
    wrong = [*tokens[:-1], (tokens[-1] + 1) % TINY.vocabulary]
    assert probe(net, [Example(tokens, example.answer), Example(wrong, example.answer)]) == 0.5


def test_untrained_heads_go_on_where_more_than_one_token_stood_before() -> None:
    shape = Shape(vocabulary=700, layers=2, hidden=64, context=1024)
    torch.manual_seed(1)
    net, right = new_network(shape, torch.randn(shape.vocabulary, shape.words) * 0.1), 0
    for seed in range(20):
        draw = random.Random(seed)
        *other, a, b, c, d, here, there = draw.sample(range(5, 700), 60)
        tokens = [*other[:20], a, b, c, here, *other[20:40], d, b, c, there, *other[40:], d, b, c]
        logits = net(torch.tensor([tokens])).logits[0, -1]
        right += bool(logits[there] > logits[here])
    assert right >= 18, "two tokens stood together twice, three once"


def test_the_export_is_whole(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    net = new_network(TINY, torch.randn(TINY.vocabulary, TINY.words) * 0.05)
    save_network(net, tokenizer, tmp_path)
    llama, loaded = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert llama.dtype is torch.bfloat16
    assert torch.equal(llama.model.embed_tokens.weight, net.model.embed_tokens.weight.bfloat16())
    turns = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "olá"},
        {"role": "assistant", "content": "oi"},
        {"role": "user", "content": "e agora?"},
    ]
    prompt = loaded.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert prompt == "<|user|>olá<|end|><|user|>e agora?<|end|><|assistant|>"
    whole = loaded.apply_chat_template([*turns, {"role": "assistant", "content": "já"}], tokenize=False)
    assert whole == f"{prompt} já<|end|>"
