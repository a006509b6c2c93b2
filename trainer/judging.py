"""Who judges at the gate: the bundled judge B, or the language model that the settings name."""

from __future__ import annotations

from assistant.entailment import load_judge
from assistant.retrieval.embeddings import Embedder
from assistant.settings import Settings
from trainer.evaluate.scoring import Scorer

BUNDLED = "local"
_HALF = 0.5


def gate_scorer(settings: Settings) -> Scorer:
    """Imports Ragas, which takes seconds. The key of a language model is ``remote.key``."""
    if settings.gate_judge == BUNDLED:
        from trainer.evaluate.bundled import BundledScorer  # noqa: PLC0415

        return BundledScorer(load_judge("b"), Embedder())
    from trainer.evaluate.endpoint import EndpointScorer  # noqa: PLC0415

    url, _, model = settings.gate_judge.partition("#")
    return EndpointScorer(url, model, Embedder(), key=settings.remote.key.get_secret_value() or "none")


def supported_from(settings: Settings) -> float:
    """The faithfulness from which on an answer counts as supported."""
    return load_judge("b").answer_threshold if settings.gate_judge == BUNDLED else _HALF
