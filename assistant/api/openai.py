"""OpenAI's chat API on the person's documents: any client of it can ask, and gets the citations in extra fields.

The last message is the question and the ones before it are its history, unless ``conversation_id`` continues a stored
conversation. System messages are passed over and sampling parameters have no effect: how an answer is made is the
program's setting, so that the log knows it. Parameters that ask for another *kind* of answer are refused.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from assistant.api import errors
from assistant.api.dependencies import DocumentId, Me, Parts, Text
from assistant.chat import Chat, Event, Finished, Retrieved, Token
from assistant.errors import EngineError, InputError, NotFoundError
from assistant.records import Exchange, Turn
from assistant.services import Services

MODEL = "fiel"
"""What the assistant is called as a model, whichever model and adapter stand behind it today."""

router = APIRouter(prefix="/v1", tags=["OpenAI-compatible"])

# Values that ask for nothing special; any other value of these asks for another kind of answer.
_HARMLESS: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "tools": (None, []),
    "tool_choice": (None, "none", "auto"),
    "functions": (None, []),
    "function_call": (None, "none", "auto"),
    "response_format": (None, {"type": "text"}),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "stop": (None, []),
    "audio": (None,),
    "modalities": (None, ["text"]),
    "web_search_options": (None,),
}


class TextPart(BaseModel):
    type: Literal["text"]
    text: Text


class ChatMessage(BaseModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: Text | Annotated[list[TextPart], Field(max_length=100)]

    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    """OpenAI's request. Beside it: ``document_ids`` limits the search, ``conversation_id`` continues a conversation."""

    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)

    model: Text = MODEL
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=1000)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    document_ids: Annotated[list[DocumentId], Field(max_length=1000)] = []
    conversation_id: Text | None = None


@router.get("/models")
def list_models(services: Parts) -> dict[str, Any]:
    """The models that can be named in a request: the assistant, and the one that it speaks with today."""
    return {"object": "list", "data": [_model(name) for name in _names(services)]}


@router.get("/models/{name:path}")
def get_model(name: str, services: Parts) -> dict[str, Any]:
    _check_model(name, services)
    return _model(name)


@router.post("/chat/completions")
async def create_chat_completion(body: ChatRequest, request: Request, services: Parts, person: Me) -> Response:
    """Answers the last message from the documents; streams server-sent events with ``stream``.

    Extra fields of the response, and of the chunk that carries ``finish_reason``: ``citations``, ``exchange_id`` and
    ``conversation_id``. When the client goes away the model stops.
    """
    _check_model(body.model, services)
    _check_parameters(body.model_extra or {})
    question, history = _split(body.messages)
    events = services.chat.answer(
        question,
        person=person,
        conversation_id=body.conversation_id,
        history=history if body.conversation_id is None else None,
        document_ids=body.document_ids,
    )
    if body.stream:
        # Before the response begins, so that what cannot be asked gets a status of its own.
        while not isinstance(first := await anext(events), Retrieved):
            pass
        with_usage = body.stream_options is not None and body.stream_options.include_usage
        chunks = _chunks(first.exchange, events, with_usage=with_usage, longest=services.chat.answer_tokens)
        return StreamingResponse(chunks, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
    return await _whole(events, request, services.chat)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": MODEL}


def _names(services: Services) -> tuple[str, ...]:
    """The model behind the assistant has a name once it is ready."""
    return (MODEL,) if services.engine.notice else (MODEL, services.engine.model)


def _check_model(name: str, services: Services) -> None:
    if name not in _names(services):
        raise NotFoundError(f"There is no model of that name; {MODEL!r} is the one to ask for.")


def _check_parameters(given: dict[str, Any]) -> None:
    for name, harmless in _HARMLESS.items():
        if name in given and given[name] not in harmless:
            raise InputError(f"This value of {name!r} is not supported.")


def _split(messages: Sequence[ChatMessage]) -> tuple[str, list[Turn]]:
    """The question, and the earlier turns: each assistant message with the user messages that it answers."""
    if messages[-1].role != "user":
        raise InputError("The last message must be the user's: it is the question.")
    history = []
    asked: list[str] = []
    for message in messages[:-1]:
        if message.role == "user":
            asked.append(message.text())
        elif message.role == "assistant" and asked:
            history.append(Turn("\n".join(asked), message.text()))
            asked = []
    return messages[-1].text(), history


async def _whole(events: AsyncGenerator[Event, None], request: Request, chat: Chat) -> Response:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Finished):
                if event.problem is not None:
                    raise EngineError(event.problem)
                return JSONResponse(_completion(event.exchange, chat.answer_tokens))
            if await request.is_disconnected():
                break
    return Response(status_code=499)  # nobody is there to read it


async def _chunks(
    exchange: Exchange, events: AsyncGenerator[Event, None], *, with_usage: bool, longest: int
) -> AsyncIterator[str]:
    """The rest of an answer as server-sent events in OpenAI's form."""
    unused = {"usage": None} if with_usage else {}
    async with aclosing(events):
        yield _event(_chunk(exchange, {"role": "assistant", "content": ""}) | unused)
        async for event in events:
            if isinstance(event, Token):
                yield _event(_chunk(exchange, {"content": event.text}) | unused)
            elif isinstance(event, Finished):
                if event.problem is not None:
                    yield _event(errors.body(event.problem, "engine_error"))
                    return
                exchange = event.exchange
        yield _event(_chunk(exchange, {}, _finish_reason(exchange, longest)) | _extras(exchange) | unused)
        if with_usage:
            yield _event(_chunk(exchange, {}) | {"choices": [], "usage": _usage(exchange)})
        yield "data: [DONE]\n\n"


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


def _head(exchange: Exchange, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{exchange.id}",
        "object": kind,
        "created": int(exchange.created_at.timestamp()),
        "model": exchange.adapter or exchange.model,
    }


def _chunk(exchange: Exchange, delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _head(exchange, "chat.completion.chunk") | {"choices": [choice]}


def _completion(exchange: Exchange, longest: int) -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": exchange.answer, "refusal": None},
        "logprobs": None,
        "finish_reason": _finish_reason(exchange, longest),
    }
    whole = {"choices": [choice], "usage": _usage(exchange)}
    return _head(exchange, "chat.completion") | whole | _extras(exchange)


def _finish_reason(exchange: Exchange, longest: int) -> str:
    return "length" if exchange.completion_tokens >= longest else "stop"


def _usage(exchange: Exchange) -> dict[str, int]:
    return {
        "prompt_tokens": exchange.prompt_tokens,
        "completion_tokens": exchange.completion_tokens,
        "total_tokens": exchange.prompt_tokens + exchange.completion_tokens,
    }


def _extras(exchange: Exchange) -> dict[str, Any]:
    return {
        "citations": [asdict(citation) for citation in exchange.citations],
        "exchange_id": exchange.id,
        "conversation_id": exchange.conversation_id,
    }
