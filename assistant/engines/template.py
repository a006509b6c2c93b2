"""From chat messages to the tokens of a prompt, by the model's own template: both engines ask through here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import cast

from jinja2 import TemplateError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from assistant.errors import ContextError, EngineError, ModelError
from assistant.records import Message
from assistant.settings import ROOT

STARTER = ROOT / "data" / "models" / "starter"
"""The folder of the bundled model."""

_REMEMBERED = 64  # prompts: each is counted and then answered


def source_of(model: str) -> str:
    """Where the model is read from: the folder's full path, or the hub name."""
    folder = Path(model).expanduser()
    return str(folder.resolve()) if folder.is_dir() else model


class Template:
    """The tokenizer and chat template of a model. Safe to use from several threads.

    Raises ModelError when they are not there, are damaged, or the model was not made for chat.
    """

    def __init__(self, model: str) -> None:
        self.source = source_of(model)
        self.tokenizer = _load(self.source)
        self.encoded = lru_cache(maxsize=_REMEMBERED)(self._encode)
        self._specials = [str(token) for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        self._system_role = self._takes_system_role()

    @property
    def follows_instructions(self) -> bool:
        return self.source != str(STARTER.resolve())

    def prompt(self, messages: Sequence[Message], *, answer: int, context: int) -> list[int]:
        """The tokens to send. Raises ContextError if they and an answer of ``answer`` do not fit ``context``."""
        tokens = self.encoded(tuple(messages))
        if len(tokens) + answer > context:
            raise ContextError(
                f"Question and passages ({len(tokens):,} tokens) and an answer of {answer:,} do not fit "
                f"the model's {context:,}."
            )
        return tokens

    def completion(self, messages: Sequence[Message], answer: str) -> list[int]:
        """The tokens of an answer to ``messages`` as the model is to write it, with the token that ends it.

        Together with ``encoded(messages)`` it is what a model is trained on: the very tokens that it is asked with.
        """
        chat = self._chat(messages)
        prompt = self._text(chat, add_generation_prompt=True)
        whole = self._text([*chat, {"role": "assistant", "content": self._plain(answer)}])
        # Some templates write past answers in another way than they ask for new ones: then the bare answer it is.
        written = whole.removeprefix(prompt) if whole.startswith(prompt) else self._plain(answer)
        tokens = cast(list[int], self.tokenizer.encode(written, add_special_tokens=False))
        end = cast(int, self.tokenizer.eos_token_id)
        return tokens[: tokens.index(end) + 1] if end in tokens else [*tokens, end]

    def decoded(self, tokens: list[int]) -> str:
        return cast(str, self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _takes_system_role(self) -> bool:
        """Whether the chat template knows system messages; some refuse them."""
        try:
            self._render([{"role": "system", "content": "."}, {"role": "user", "content": "."}])
        except TemplateError:
            return False
        except ValueError as error:  # there is no template
            raise ModelError(f"The model {self.source} has no chat template: take one made for chat.") from error
        return True

    def _encode(self, messages: tuple[Message, ...]) -> list[int]:
        try:
            return self._render(self._chat(messages))
        except TemplateError as error:
            raise EngineError(f"The model's chat template refuses this conversation: {error}") from error

    def _chat(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        chat = [{"role": message.role, "content": self._plain(message.content)} for message in messages]
        if not self._system_role and len(chat) > 1 and chat[0]["role"] == "system":
            system = chat.pop(0)
            chat[0]["content"] = f"{system['content']}\n\n{chat[0]['content']}"
        return chat

    def _text(self, chat: list[dict[str, str]], *, add_generation_prompt: bool = False) -> str:
        return cast(
            str,
            self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=add_generation_prompt),
        )

    def _render(self, chat: list[dict[str, str]]) -> list[int]:
        tokens = self.tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        return cast(list[int], tokens)

    def _plain(self, content: str) -> str:
        """The text with the model's control tokens broken up: a document must not be able to end its own turn."""
        for special in self._specials:
            content = content.replace(special, f"{special[0]} {special[1:]}")
        return content


def _load(source: str) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except OSError as error:
        raise not_there(source, error) from error
    except (ValueError, KeyError, RuntimeError, ImportError) as error:
        raise damaged(source, error) from error
    return tokenizer


def not_there(source: str, error: Exception) -> ModelError:
    return ModelError(
        f"The language model {source} cannot be loaded. It must be a folder, or a name on the Hugging Face hub "
        f"(the network is then needed once), with its weights as safetensors: {_first_line(error)}"
    )


def damaged(source: str, error: Exception) -> ModelError:
    return ModelError(f"The language model {source} is damaged or of an unknown kind: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
