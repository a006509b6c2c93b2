"""What every engine can do: the protocol that the local engine and the vLLM engine both fulfil."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from assistant.records import Message, Usage


@dataclass(frozen=True, slots=True)
class Sampling:
    """``temperature`` 0 is greedy; ``max_tokens`` bounds the answer."""

    max_tokens: int
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer, with the tokens used so far where they are known.

    The last one carries ``finish`` and ``usage``, and may carry no text.
    """

    text: str = ""
    finish: Literal["stop", "length"] | None = None
    usage: Usage | None = None


class Engine(Protocol):
    """A language model that streams answers, with any number of LoRA adapters by immutable version.

    Safe to use from several tasks at once. All methods raise EngineError (or a kind of it) and nothing of a vendor's.
    """

    @property
    def notice(self) -> str | None:
        """Why a question would have to wait now, in words for the person; None when it is answered at once."""
        ...

    async def ready(self) -> None:
        """Waits until questions are answered. Raises ModelError if they never will be."""
        ...

    @property
    def starts(self) -> int:
        """How often it has come up so far. Each time it knows no adapter: whoever loaded some loads them again."""
        ...

    @property
    def model(self) -> str:
        """The name of the base model, as it is logged: by it adapters know their base."""
        ...

    @property
    def follows_instructions(self) -> bool:
        """Whether it does what a new system message asks. The bundled starter knows the one prompt format only."""
        ...

    @property
    def context_tokens(self) -> int:
        """The longest request with its answer, in tokens."""
        ...

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the messages once rendered by the model's chat template."""
        ...

    def stream(
        self, messages: Sequence[Message], *, sampling: Sampling, adapter: str | None = None
    ) -> AsyncGenerator[Delta, None]:
        """The answer, piece by piece. Closing the generator stops the model within a token.

        Raises ContextError when messages and answer do not fit, ModelError for an adapter that is not loaded.
        """
        ...

    async def generate_many(
        self, prompts: Sequence[Sequence[Message]], *, sampling: Sampling, adapter: str | None = None
    ) -> list[str]:
        """The whole answers to many prompts, in their order: worked on in batches, for who measures and does not read
        along. Chats go on beside it. Cancelling it stops the model.

        Raises as ``stream`` does, ContextError before anything is generated; the answers so far are lost then, so
        whoever has hours of work asks for some dozens at a time.
        """
        ...

    @property
    def adapters(self) -> frozenset[str]:
        """The versions that are loaded."""
        ...

    async def load_adapter(self, version: str, folder: Path) -> None:
        """Makes an adapter ready. Raises ModelError when it does not fit this base or the version is taken."""
        ...

    async def unload_adapter(self, version: str) -> None:
        """Forgets an adapter; answers that are being streamed with it finish unharmed."""
        ...

    async def metrics(self) -> str:
        """What the model's own server tells Prometheus, as text; empty where there is none."""
        ...

    async def close(self) -> None:
        """Stops what is running and frees the model."""
        ...


def model_name(model: str) -> str:
    """The hub name, or a folder's name with the beginning of its weights' SHA-256: the same in both engines."""
    folder = Path(model).expanduser()
    if not folder.is_dir():
        return model
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"{folder.resolve().name}-{digest.hexdigest()[:8]}"
