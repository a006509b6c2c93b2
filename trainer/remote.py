"""From a dataset to a tuned model at OpenAI, by its fine-tuning API: the only module that knows OpenAI's client.

The same interface as ``trainer.lora``: ``prepare`` says what it would take, ``train`` makes a folder with a manifest,
which names the model there instead of holding weights. What is sent leaves this machine for good.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openai
from openai import OpenAI
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent

from assistant import prompts
from assistant.engines import plain
from assistant.errors import FielError, InputError, RunCancelledError
from assistant.settings import Remote, Training
from trainer.card import Card
from trainer.fit import Report
from trainer.tokens import lines
from trainer.work import write_whole

FEWEST = 10
"""Examples that OpenAI asks for, at least."""

_MOST_BYTES = 512_000_000  # of a file
_BYTES = 4  # of text for a token, about; English text has a few more
_FRAME = 4  # tokens around each message
_ROLES = frozenset({"system", "user", "assistant"})
_TAG = "fiel"  # the metadata by which a job is found again
_PARTS = ("train", "validation")
_OUTAGE = 6 * 3600  # seconds without an answer after which a job is given up for now


@dataclass(frozen=True, slots=True)
class Offer:
    """What would be sent and what it would cost, in dollars; ``tokens`` are those of one epoch, estimated.

    ``files`` are in OpenAI's chat format; ``dropped`` examples are too long for the model.
    """

    card: Card
    remote: Remote
    files: Mapping[str, Path]
    examples: Mapping[str, int]
    dropped: int
    tokens: int
    epochs: int
    cost: float

    def lines(self) -> list[str]:
        """For people: first of all, what leaves the machine."""
        return [
            *self.card.lines(),
            f"THIS LEAVES THE MACHINE, for {self.remote.url}: {self.examples['train']:,} training and "
            f"{self.examples['validation']:,} validation examples, which are questions and answers of "
            f"{self.card.people:,} people and the passages of documents that they rest on, in full.",
            f"About {self.tokens:,} tokens, {self.epochs} times: ${self.cost:,.2f} at ${self.remote.price:g} for a "
            f"million (remote.price). {self.dropped:,} examples are too long and left out.",
        ]


def prepare(dataset: Path, *, remote: Remote, settings: Training, folder: Path) -> Offer:
    """Writes the examples in OpenAI's chat format into ``folder``, checked by its rules. Sends nothing.

    Raises InputError when the dataset is not whole or the rules do not let it be used.
    """
    card = Card.read(dataset)
    folder.mkdir(parents=True, exist_ok=True)
    files, examples, dropped, tokens = {}, {}, 0, 0
    for part in _PARTS:
        files[part] = folder / f"{part}.jsonl"
        examples[part] = 0
        with files[part].open("w", encoding="utf-8") as file:
            for row in lines(dataset / f"{part}.jsonl"):
                messages = [*row["prompt"], {"role": "assistant", "content": row["completion"]}]
                length = _checked(messages, row["exchange"])
                if length > remote.example_tokens:
                    dropped += 1
                    continue
                examples[part] += 1
                tokens += length if part == "train" else 0
                file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
        if files[part].stat().st_size > _MOST_BYTES:
            raise InputError(f"The {part} file is larger than OpenAI takes (512 MB). Lower training.examples.")
    if examples["train"] < FEWEST:
        raise InputError(f"OpenAI asks for {FEWEST} examples at least; there are {examples['train']}.")
    epochs = max(1, round(settings.epochs))
    cost = tokens * epochs * remote.price / 1e6
    return Offer(card, remote, files, examples, dropped, tokens, epochs, cost)


def train(
    offer: Offer, out: Path, *, seed: int, agreed: float, report: Report = lambda _progress: None, pause: float = 10.0
) -> dict[str, Any]:
    """Has a model tuned, into the new folder ``out``, and returns the manifest.

    ``agreed`` is the cost in dollars that somebody said yes to. ``pause`` are the seconds between two looks. A job that
    runs already, from before a restart, is followed and not made again; when ``report`` raises RunCancelledError it is
    cancelled, and the error names it if the service does not hear of that. The uploaded files are deleted in the end.

    Raises FielError with the service's reason, or when it would cost more than was agreed.
    """
    if offer.cost > agreed:
        raise FielError(
            f"This would cost about ${offer.cost:,.2f}, more than the ${agreed:,.2f} agreed. Nothing was sent."
        )
    if not offer.remote.key.get_secret_value():
        raise InputError("remote.key is missing: give it as FIEL_REMOTE__KEY. Nothing was sent.")
    key = offer.remote.key.get_secret_value()
    with _explained(offer.remote.url), OpenAI(base_url=offer.remote.url, api_key=key, max_retries=3) as client:
        job = _job(client, offer, seed, report)
        try:
            job = _followed(client, job, report, pause)
        except RunCancelledError:
            _cancel(client, job.id)
            raise
        _delete_files(client, job)
    if job.status != "succeeded" or not job.fine_tuned_model:
        told = job.error.message if job.error and job.error.message else f"it was {job.status} there"
        raise FielError(f"{offer.remote.url} made no model: {told}")
    return _write(offer, job, out, seed)


def _checked(messages: list[dict[str, str]], exchange: str) -> int:
    """The tokens of an example, about. Raises InputError for what OpenAI's rules do not allow."""
    for message in messages:
        if message["role"] not in _ROLES:
            raise InputError(f"The example of exchange {exchange} has a message of an unknown role: {message['role']}.")
        if not message["content"].strip():
            raise InputError(f"The example of exchange {exchange} has an empty message.")
    if messages[-1]["role"] != "assistant" or not any(message["role"] == "user" for message in messages):
        raise InputError(f"The example of exchange {exchange} is no question with an answer.")
    return sum(_FRAME + len(message["content"].encode()) // _BYTES for message in messages)


def _job(client: OpenAI, offer: Offer, seed: int, report: Report) -> FineTuningJob:
    """The job for this dataset, seed, model and number of epochs: the one that exists, or a new one."""
    tag = {_TAG: f"{offer.card.hash}:{seed}:{offer.remote.model}:{offer.epochs}"}
    for job in client.fine_tuning.jobs.list(metadata=tag, limit=20):
        if job.metadata == tag and job.status not in {"failed", "cancelled"}:
            return job
    uploaded = _uploaded(client, offer, seed, report)
    hyperparameters: Any = {"n_epochs": offer.epochs}
    try:
        report({"phase": "asking for the job"})
        return client.fine_tuning.jobs.create(
            model=offer.remote.model,
            training_file=uploaded["train"],
            validation_file=uploaded.get("validation"),
            method={"type": "supervised", "supervised": {"hyperparameters": hyperparameters}},
            seed=seed,
            suffix="fiel",
            metadata=tag,
        )
    except (openai.APIStatusError, RunCancelledError):  # so nothing needs them
        _delete(client, uploaded.values())
        raise


def _uploaded(client: OpenAI, offer: Offer, seed: int, report: Report) -> dict[str, str]:
    """The ids of the files there; those that a killed process has sent already are not sent again."""
    report({"phase": "uploading"})
    known = {file.filename: file.id for file in client.files.list(purpose="fine-tune")}
    uploaded = {}
    for part in _PARTS:
        if offer.examples[part]:
            name = f"{_TAG}-{offer.card.hash.removeprefix('sha256:')[:16]}-{seed}-{part}.jsonl"
            with offer.files[part].open("rb") as file:
                uploaded[part] = known.get(name) or client.files.create(file=(name, file), purpose="fine-tune").id
    return uploaded


def _followed(client: OpenAI, job: FineTuningJob, report: Report, pause: float) -> FineTuningJob:
    """Until the job has ended; its events are reported once each. The job runs on while it cannot be asked for."""
    seen: set[str] = set()
    unheard = time.monotonic()
    while True:
        try:
            job = client.fine_tuning.jobs.retrieve(job.id)
            news = _news(client, job, seen)
        except (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError):
            if time.monotonic() - unheard > _OUTAGE:
                raise
            report({"phase": "the service does not answer, asking again"})
            time.sleep(pause)
            continue
        unheard = time.monotonic()
        for event in news:
            report(_told(event))
        report({"phase": f"at the service: {job.status}", "job": job.id})
        if job.status in {"succeeded", "failed", "cancelled"}:
            return job
        time.sleep(pause)


def _news(client: OpenAI, job: FineTuningJob, seen: set[str]) -> list[FineTuningJobEvent]:
    """The events that were not seen before, oldest first; the service lists the latest first."""
    fresh = []
    for event in client.fine_tuning.jobs.list_events(job.id, limit=100):
        if event.id in seen:
            break
        fresh.append(event)
    seen.update(event.id for event in fresh)
    return fresh[::-1]


def _told(event: FineTuningJobEvent) -> dict[str, Any]:
    data: Any = event.data if isinstance(event.data, dict) else {}
    names = {"step": "step", "total_steps": "steps", "train_loss": "loss", "valid_loss": "validation_loss"}
    return {"event": event.message} | {ours: data[theirs] for theirs, ours in names.items() if data.get(theirs)}


def _cancel(client: OpenAI, job_id: str) -> None:
    try:
        with suppress(openai.BadRequestError):  # it has just ended by itself
            client.fine_tuning.jobs.cancel(job_id)
        _delete_files(client, client.fine_tuning.jobs.retrieve(job_id))
    except openai.APIError as error:
        raise RunCancelledError(f"Its job {job_id} may still run at the service, and cost. Cancel it there.") from error


def _delete_files(client: OpenAI, job: FineTuningJob) -> None:
    if job.status not in {"succeeded", "failed", "cancelled"}:
        return  # it is still needed: this process was stopped, the job was not
    _delete(client, [job.training_file, *filter(None, [job.validation_file])])


def _delete(client: OpenAI, file_ids: Iterable[str]) -> None:
    for file_id in file_ids:
        with suppress(openai.NotFoundError):  # deleted before a restart
            client.files.delete(file_id)


def _write(offer: Offer, job: FineTuningJob, out: Path, seed: int) -> dict[str, Any]:
    manifest = {
        "base": offer.remote.model,
        "remote": job.fine_tuned_model,
        "job": job.id,
        "url": offer.remote.url,
        "prompt_version": prompts.VERSION,
        "dataset": offer.card.hash,
        "examples": {**offer.examples, "too_long": offer.dropped},
        "tokens": job.trained_tokens,
        "epochs": offer.epochs,
        "seed": seed,
        "created_at": datetime.now(UTC).isoformat(),
    }
    incoming = out.with_name(f"work-{out.name}")
    incoming.mkdir(parents=True, exist_ok=True)
    write_whole(incoming / plain.MANIFEST, manifest)
    incoming.rename(out)
    return manifest


@contextmanager
def _explained(url: str) -> Iterator[None]:
    try:
        yield
    except openai.APIConnectionError as error:
        raise FielError(f"{url} cannot be reached: {error}. Ask again: a job that was begun is followed.") from error
    except openai.AuthenticationError as error:
        raise FielError(f"{url} refuses the key (remote.key): {error.message}") from error
    except openai.APIError as error:
        raise FielError(f"{url} refuses: {error.message}") from error
