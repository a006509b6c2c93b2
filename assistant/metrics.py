"""What the program tells Prometheus about itself. The only module that knows its client."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from assistant.records import Exchange, ExchangeStatus

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_BASE = "base"  # the base model itself, where an adapter could stand


class Metrics:
    """Counts from the start of the program on. Safe to use from several threads."""

    def __init__(self) -> None:
        self._registry = here = CollectorRegistry()
        self._answers = Counter("fiel_answers", "Answers by how they ended.", ["adapter", "status"], registry=here)
        self._tokens = Counter("fiel_answer_tokens", "Tokens of answers.", ["adapter"], registry=here)
        self._speaking = Counter(
            "fiel_answer_seconds",
            "Seconds from first to last token: tokens divided by it are tokens/s.",
            ["adapter"],
            registry=here,
        )
        self._first = Histogram(
            "fiel_first_token_seconds",
            "From the question to the first token.",
            ["adapter"],
            buckets=_SECONDS,
            registry=here,
        )
        self._retrieval = Histogram(
            "fiel_retrieval_seconds", "From the question to its passages.", buckets=_SECONDS, registry=here
        )
        self._running = Gauge("fiel_answers_running", "Answers being given.", ["adapter"], registry=here)
        self._waiting = Gauge("fiel_engine_waiting", "1 while questions wait for the language model.", registry=here)
        self._line = Gauge(
            "fiel_questions_waiting", "Questions in line while the language model starts.", registry=here
        )
        self._queue = Gauge("fiel_documents_queued", "Documents that wait to be indexed.", registry=here)
        self._ratings = Gauge("fiel_ratings", "Ratings by adapter and value.", ["adapter", "value"], registry=here)
        self._live = Gauge("fiel_live_adapter", "1 for the adapter that answers.", ["adapter", "model"], registry=here)
        self._fallback = Gauge(
            "fiel_champion_not_served", "1 while another version answers for the champion.", registry=here
        )

    def questions_waiting(self) -> AbstractContextManager[None]:
        """In this block a question waits in line for the language model."""
        return self._line.track_inprogress()

    def finished(self, exchange: Exchange) -> None:
        """An answer has ended, in whatever way."""
        adapter = exchange.adapter or _BASE
        timings = exchange.timings
        self._answers.labels(adapter, exchange.status).inc()
        self._tokens.labels(adapter).inc(exchange.completion_tokens)
        self._retrieval.observe(timings.retrieve / 1000)
        if timings.first_token is not None:
            self._first.labels(adapter).observe(timings.first_token / 1000)
            if exchange.status is ExchangeStatus.COMPLETE:
                self._speaking.labels(adapter).inc((timings.total - timings.first_token) / 1000)

    def rendered(
        self,
        *,
        running: Mapping[str | None, int],
        ratings: Mapping[tuple[str | None, int], int],
        queued: int,
        model: str | None,
        live: str | None,
        fallback: bool,
    ) -> str:
        """Everything in Prometheus' text format; what is given is how things stand now. ``model``: None while the
        language model cannot be asked."""
        for gauge in (self._running, self._ratings, self._live):
            gauge.clear()
        for adapter, count in running.items():
            self._running.labels(adapter or _BASE).set(count)
        for (adapter, value), count in ratings.items():
            self._ratings.labels(adapter or _BASE, str(value)).set(count)
        if model is not None:
            self._live.labels(live or _BASE, model).set(1)
        self._waiting.set(model is None)
        self._fallback.set(fallback)
        self._queue.set(queued)
        return generate_latest(self._registry).decode()
