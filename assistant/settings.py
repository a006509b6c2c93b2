"""Every setting, its meaning beside its default.

Read from ``fiel.toml`` in the working directory and from the environment (``FIEL_PORT=8000``,
``FIEL_RETRIEVAL__WINDOW=7``), the latter first. Reading touches neither the disk beyond that file nor the network.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from assistant.errors import SettingsError

ROOT = Path(__file__).resolve().parent.parent


class _Group(BaseModel, extra="forbid"):
    """A group of settings; a name that is not there is an error and not silence."""


class Retrieval(_Group):
    window: Annotated[int, Field(ge=1, le=25)] = 5
    """Sentences in a window around each hit. Used when a question is asked: changing it indexes nothing again."""
    passages: Annotated[int, Field(ge=1, le=20)] = 4
    """Windows shown to the model, at most."""
    vector_weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the vector score in the fused score; the rest is the keyword score."""
    embedding_model: str = "all-MiniLM-L6-v2"
    """The bundled MiniLM, or a sentence-transformers model by folder or hub name. Changing it indexes all again."""


class Generation(_Group):
    max_tokens: Annotated[int, Field(ge=16, le=8192)] = 256
    """Tokens of an answer, at most."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """0 is greedy: the same question over the same passages gives the same answer."""


class Vllm(_Group):
    folder: Path = ROOT / ".venv-vllm"
    """The environment that vLLM is installed in, by ``make vllm``."""
    memory_share: Annotated[float, Field(gt=0, le=0.95)] | None = None
    """Share of the GPU's memory for vLLM; none: half of what is free when it starts, so that training finds the rest.
    Without a GPU: share of the main memory for its keys and values; none: a tenth."""
    options: list[str] = []
    """More options for vLLM's own command line, such as ["--tensor-parallel-size", "2"]."""

    @property
    def python(self) -> Path:
        """Of that environment; there where vLLM is installed."""
        return self.folder / "bin" / "python"


class Limits(_Group):
    file_mb: Annotated[int, Field(ge=1)] = 100
    """Largest file that can be added, in MB."""
    pages: Annotated[int, Field(ge=1)] = 5_000
    """Most pages (or slides) of a document."""
    unpacked_mb: Annotated[int, Field(ge=1)] = 500
    """Largest size of a DOCX, PPTX, XLSX or EPUB once unpacked, in MB: a defence against zip bombs."""
    parse_seconds: Annotated[int, Field(ge=1)] = 300
    """Longest time that reading one file may take."""
    parse_memory_mb: Annotated[int, Field(ge=256)] = 2_048
    """Most memory that reading one file may take, in MB."""
    question_characters: Annotated[int, Field(ge=100)] = 4_000
    """Longest question."""


class Review(_Group):
    mode: Literal["required", "sampled", "automatic"] = "required"
    """Which ratings an admin has to accept before anything learns from them: all, a share, or none."""
    share: Annotated[float, Field(ge=0, le=1)] = 0.1
    """The share that is reviewed when ``mode`` is sampled."""
    new_days: Annotated[int, Field(ge=0)] = 3
    """Ratings by people whose account is younger than this are reviewed whatever the mode."""
    ratings_a_day: Annotated[int, Field(ge=1)] = 50
    """And so are those of people who have rated as often as this within a day."""
    ratings_a_minute: Annotated[int, Field(ge=1)] = 30
    """More ratings than this within a minute are refused."""


class Training(_Group):
    trainer: Literal["lora", "openai"] = "lora"
    """What trains: this machine (LoRA), or OpenAI's fine-tuning, which the examples are then sent to."""
    raters: Annotated[int, Field(ge=1)] = 1
    """People who have to say that an answer is right, or wrong, before anything learns from it."""
    per_person: Annotated[int, Field(ge=1)] = 1_000
    """Examples from one person, at most."""
    per_document: Annotated[int, Field(ge=1)] = 500
    """Examples from one document, at most."""
    examples: Annotated[int, Field(ge=1)] = 10_000
    """Examples in all, at most: a random part of them where there are more."""
    distractors: Annotated[float, Field(ge=0, le=1)] = 0.6
    """Share of examples whose other passages are exchanged for ones that the search found less fitting."""
    removed: Annotated[float, Field(ge=0, le=1)] = 0.15
    """Share of examples that come once more without the passage that answers them: the right answer is to refuse."""
    rank: Annotated[int, Field(ge=1, le=32)] = 16
    """Rank of the adapter's matrices."""
    alpha: Annotated[int, Field(ge=1)] = 32
    """Weight of the adapter, times the rank."""
    rslora: bool = False
    """Whether the weight is divided by the square root of the rank instead of the rank (rsLoRA)."""
    learning_rates: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1)] = [5e-5, 1e-4, 2e-4, 4e-4]
    """Learning rates that are tried, the first time and whenever the examples have doubled; the best one is taken.
    While that is the highest one, higher ones are tried; a single rate is taken as it is."""
    sweep_steps: Annotated[int, Field(ge=1)] = 40
    """Steps for each try of a learning rate, at most; never more than the whole training."""
    epochs: Annotated[float, Field(gt=0)] = 3.0
    """How often each example is seen, at most: training stops when the validation gets no better."""
    batch: Annotated[int, Field(ge=1)] = 16
    """Examples in a step, about."""
    preference: Literal["off", "kto"] = "off"
    """Whether what people rejected is learnt from, too (KTO), after the supervised training."""
    negatives: Annotated[int, Field(ge=2)] = 100
    """Rejected answers that there have to be for that."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train. auto: on a GPU where there is one."""
    four_bit: bool = False
    """Whether the base model is held in 4 bits while training on a GPU (needs bitsandbytes)."""
    hours: Annotated[float, Field(gt=0)] = 6.0
    """A training that would take longer is refused before it begins."""
    niceness: Annotated[int, Field(ge=0, le=19)] = 10
    """How far training stands back behind everything else on the machine."""


class Remote(_Group):
    url: Annotated[str, Field(pattern="^https?://")] = "https://api.openai.com/v1"
    """Address of OpenAI, or of a service with the same API, for ``engine`` or ``training.trainer``."""
    key: SecretStr = SecretStr("")
    """The key for it."""
    model: str = "gpt-4.1-mini-2025-04-14"
    """The model that answers there, and that is tuned."""
    context: Annotated[int, Field(ge=1_024)] = 128_000
    """Tokens that it reads and writes in one request, at most."""
    example_tokens: Annotated[int, Field(ge=256)] = 65_536
    """Tokens of an example that it is tuned on, at most."""
    price: Annotated[float, Field(ge=0)] = 5.0
    """Dollars that tuning costs for a million tokens: look it up, prices change."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="FIEL_",
        env_nested_delimiter="__",
        toml_file="fiel.toml",
        extra="forbid",
        use_attribute_docstrings=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on. Beyond loopback everybody signs in: the first start prints a link for the first admin."""
    port: Annotated[int, Field(ge=0, le=65535)] = 7860
    """Port of the page and the API; 0 takes a free one. If the default is taken, a free one is used and printed."""
    state: Path = ROOT / "data" / "state"
    """Folder for all that the program writes: database, vectors, originals, logs."""
    chroma_url: str | None = None
    """Address of a Chroma server (http://host:port); none: an embedded one in the state folder."""
    model: str = str(ROOT / "data" / "models" / "starter")
    """The language model: a folder or a hub name of any causal model. Default: the bundled starter."""
    engine: Literal["auto", "local", "vllm", "remote"] = "auto"
    """What runs the model. auto: vLLM where vllm_url is set or there are a GPU and a vLLM environment; else local.
    remote: a service elsewhere, which then reads every question with its passages."""
    vllm_url: Annotated[str, Field(pattern=r"^https?://[^,\s]+(,\s*https?://[^,\s]+)*$")] | None = None
    """Address of a vLLM server that runs elsewhere and serves the model; of several, with commas between them."""
    gate_judge: Annotated[str, Field(pattern=r"^(local|https?://[^#\s]+#\S+)$")] = "local"
    """Who judges at the gate: local (the bundled judge B), or a language model behind OpenAI's API, URL#MODEL, which
    then reads the sealed questions with their passages and answers. Its key is ``remote.key``."""
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    """How much goes to the log."""
    retrieval: Retrieval = Retrieval()
    generation: Generation = Generation()
    limits: Limits = Limits()
    review: Review = Review()
    vllm: Vllm = Vllm()
    training: Training = Training()
    remote: Remote = Remote()

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the program."""
        return self.host == "localhost" or _is_loopback(self.host)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load(**overrides: object) -> Settings:
    """The validated settings; ``overrides`` (from the command line) win.

    Raises SettingsError naming every wrong setting at once.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic validates what the command line gave
    except ValidationError as error:
        problems = [f"  {'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors()]
        raise SettingsError("These settings are wrong:\n" + "\n".join(problems)) from error
    except ValueError as error:  # an unreadable fiel.toml
        raise SettingsError(f"fiel.toml cannot be read: {error}") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
