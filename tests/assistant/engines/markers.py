"""LoRA adapters for the starter that put a marker of their own into every sentence: a mixed answer shows itself."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from assistant import prompts
from assistant.engines.template import STARTER, Template
from assistant.records import Message, Passage

MARKERS = ("Crimson", "Indigo")
_ENOUGH = 0.05  # loss; every token is all but certain then
_MOST_STEPS = 300


def asked(subject: str) -> list[Message]:
    """A question over one passage, as the chat asks."""
    text = f"The {subject} was opened in 1994. It lies near the river and is open every day."
    passage = Passage(
        document_id=1,
        lineage="",
        document=f"{subject}.txt",
        scope="shared",
        page=None,
        section=0,
        start=0,
        end=len(text),
        text=text,
        score=1.0,
        sentences=((0, 0, len(text)),),
        hits=(0,),
    )
    return prompts.render(question=f"When was the {subject} opened?", passages=[passage])


SUBJECTS = ("bridge", "museum", "station", "library", "harbour", "theatre", "market", "garden")


def answer_of(marker: str) -> str:
    return " ".join([f"The {marker} answer is here."] * 5)


def sentences(answer: str) -> list[str]:
    return [sentence for sentence in re.split(r"(?<=\.)\s+", answer.strip()) if sentence]


def train(folder: Path, marker: str, *, seed: int) -> Path:
    """Trains until the marked answer is certain, whatever the question."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # small matrices: more threads wait for each other
    template = Template(str(STARTER))
    answer = template.tokenizer.encode(" " + answer_of(marker), add_special_tokens=False)
    rows = [(template.encoded(tuple(asked(subject))), answer) for subject in SUBJECTS[:4]]
    base = AutoModelForCausalLM.from_pretrained(STARTER, dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-3)
    losses = [1.0] * len(rows)
    for step in range(_MOST_STEPS):
        prompt, wanted = rows[step % len(rows)]
        tokens = torch.tensor([[*prompt, *wanted]])
        labels = torch.tensor([[-100] * len(prompt) + wanted])
        loss = model(input_ids=tokens, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses[step % len(rows)] = loss.item()
        if max(losses) < _ENOUGH:
            model.save_pretrained(folder)
            return folder
    raise AssertionError(f"the marker was not learnt: {losses}")
