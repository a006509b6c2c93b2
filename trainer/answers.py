"""What a model in training answers to validation questions, and how far a judge sees that in their passages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from assistant import prompts
from assistant.engines.template import Template
from assistant.entailment import Judge
from trainer.tokens import Tokens

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """``ended``: the model came to an end by itself."""

    text: str
    ended: bool


def answered(
    model: torch.nn.Module,
    examples: Sequence[Tokens],
    template: Template,
    *,
    report: Callable[[int], None] = lambda _done: None,
) -> list[Answer]:
    """Greedy answers, at most three times as long as the longest right one; ``report`` hears how many are done."""
    most = 3 * max((len(example.completion) for example in examples), default=0)
    end = template.tokenizer.eos_token_id
    device = next(model.parameters()).device
    found: list[Answer] = []
    model.eval()
    for first in range(0, len(examples), _AT_ONCE):
        part = [example.prompt for example in examples[first : first + _AT_ONCE]]
        width = max(map(len, part))
        ids = torch.tensor([[end] * (width - len(prompt)) + prompt for prompt in part], device=device)
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in part], device=device)
        with torch.inference_mode():
            written = model.generate(  # type: ignore[operator]
                input_ids=ids, attention_mask=mask, max_new_tokens=most, do_sample=False, pad_token_id=end
            )
        for tokens in written[:, width:].tolist():
            stop = tokens.index(end) if end in tokens else len(tokens)
            found.append(Answer(template.decoded(tokens[:stop]).strip(), ended=end in tokens))
        report(len(found))
    return found


def faithful(answer: Answer, passages: Sequence[str], judge: Judge) -> float:
    """How far the passages support the answer to a question that they do answer, in [0, 1].

    Empty, endless or refused: 0.
    """
    if not answer.text or not answer.ended or prompts.is_refusal(answer.text):
        return 0.0
    supports = judge.support(passages, answer.text)
    return judge.answer_probability(supports) if supports else 0.0
