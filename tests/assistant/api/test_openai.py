from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator

import httpx
import openai
import pytest

from assistant.records import Document, ExchangeStatus
from assistant.services import Services
from assistant.store import exchanges
from tests.assistant.api.conftest import LIGHTHOUSE, Parrot
from tests.conftest import People

QUESTION = {"role": "user", "content": "When was the lighthouse of Cabo Raso built?"}
SENTENCE = "The lighthouse of Cabo Raso was built in 1894."


@pytest.fixture
def client(address: str) -> Iterator[openai.OpenAI]:
    http = httpx.Client(trust_env=False)
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", http_client=http, max_retries=0) as client:
        yield client


def test_whole_answer_cites_its_sentence(client: openai.OpenAI, add: Callable[..., Document]) -> None:
    document = add()
    reply = client.chat.completions.create(model="fiel", messages=[QUESTION])  # type: ignore[list-item]

    assert reply.choices[0].message.content == "The lighthouse of Cabo Raso was built in 1894 [1]."
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 10
    extras = reply.model_extra
    assert extras is not None
    (citation,) = extras["citations"]
    assert (citation["n"], citation["document_id"], citation["document"]) == (1, document.id, "lighthouse.txt")
    assert citation["sentence"] == LIGHTHOUSE[citation["start"] : citation["end"]] == SENTENCE
    assert SENTENCE in citation["window"]
    assert citation["page"] is None
    assert reply.id == f"chatcmpl-{extras['exchange_id']}"


def test_stream_says_the_same(client: openai.OpenAI, add: Callable[..., Document], services: Services) -> None:
    add()
    stream = client.chat.completions.create(
        model="fiel",
        messages=[QUESTION],  # type: ignore[list-item]
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, ended, usage = list(stream)

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == "The lighthouse of Cabo Raso was built in 1894 [1]."
    assert len(chunks) > 5
    assert all(chunk.choices[0].finish_reason is None and chunk.usage is None for chunk in chunks)
    assert ended.choices[0].finish_reason == "stop"
    assert ended.model_extra is not None
    assert ended.model_extra["citations"][0]["sentence"] == SENTENCE
    assert usage.choices == []
    assert usage.usage is not None
    with services.database.read() as session:
        logged = exchanges.get(session, ended.model_extra["exchange_id"], person_id=services.local_admin.id)
    assert (logged.answer, logged.status) == (text, ExchangeStatus.COMPLETE)
    assert usage.usage.completion_tokens == logged.completion_tokens


def test_conversation_goes_on(client: openai.OpenAI, add: Callable[..., Document], engine: Parrot) -> None:
    add()
    first = client.chat.completions.create(model="fiel", messages=[QUESTION])  # type: ignore[list-item]
    assert first.model_extra is not None
    conversation = first.model_extra["conversation_id"]
    second = client.chat.completions.create(
        model="parrot-1",
        messages=[{"role": "user", "content": "What did its lamp burn?"}],
        extra_body={"conversation_id": conversation},
    )
    assert second.model_extra is not None
    assert second.model_extra["conversation_id"] == conversation
    assert [message.role for message in engine.heard[-1]] == ["system", "user", "assistant", "user"]


def test_client_brings_its_history(
    client: openai.OpenAI, add: Callable[..., Document], services: Services, engine: Parrot
) -> None:
    add()
    reply = client.chat.completions.create(
        model="fiel",
        messages=[
            {"role": "system", "content": "You are a pirate."},
            {"role": "user", "content": [{"type": "text", "text": "Who lived in the lighthouse?"}]},
            {"role": "assistant", "content": "A keeper [1]."},
            {"role": "user", "content": "And when was it built?"},
        ],
    )
    assert "pirate" not in str(engine.heard[-1])
    assert engine.heard[-1][1].content == "Who lived in the lighthouse?"
    assert reply.model_extra is not None
    with services.database.read() as session:
        logged = exchanges.get(session, reply.model_extra["exchange_id"], person_id=services.local_admin.id)
    assert [turn.question for turn in logged.history] == ["Who lived in the lighthouse?"]
    assert logged.private


def test_chosen_documents_limit_the_search(client: openai.OpenAI, add: Callable[..., Document], people: People) -> None:
    add()
    other = add("Cabo Raso is a cape near Cascais.", name="cape.txt")
    hidden = add("The lighthouse of Cabo Raso is a secret.", name="secret.txt", person=people.ana)
    reply = client.chat.completions.create(
        model="fiel",
        messages=[QUESTION],  # type: ignore[list-item]
        extra_body={"document_ids": [other.id]},
    )
    assert reply.model_extra is not None
    assert {citation["document"] for citation in reply.model_extra["citations"]} == {"cape.txt"}
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(
            model="fiel",
            messages=[QUESTION],  # type: ignore[list-item]
            extra_body={"document_ids": [hidden.id]},
        )


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["fiel", "parrot-1"]
    assert client.models.retrieve("fiel").id == "fiel"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o")


UNSUPPORTED: tuple[dict[str, object], ...] = (
    {"n": 2},
    {"tools": [{"type": "function", "function": {"name": "f"}}]},
    {"response_format": {"type": "json_object"}},
    {"logprobs": True},
    {"stop": ["."]},
    {"messages": [{"role": "assistant", "content": "Hello"}]},
    {"messages": [{"role": "user", "content": "x" * 4001}]},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
)


def test_what_cannot_be_done_is_refused(client: openai.OpenAI) -> None:
    for more in UNSUPPORTED:
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="fiel", messages=[QUESTION], extra_body=more)  # type: ignore[list-item]
        assert caught.value.type == "invalid_request_error"
        assert len(caught.value.message) > 20, more


def test_sampling_parameters_do_no_harm(client: openai.OpenAI, add: Callable[..., Document]) -> None:
    add()
    reply = client.chat.completions.create(
        model="fiel",
        messages=[QUESTION],  # type: ignore[list-item]
        temperature=0.2,
        max_tokens=50,
        top_p=0.9,
        seed=1,
        n=1,
        user="somebody",
    )
    assert reply.choices[0].message.content


def test_broken_model_is_told(client: openai.OpenAI, add: Callable[..., Document], services: Services) -> None:
    add()
    messages = [{"role": "user", "content": "Does the lighthouse break?"}]
    with pytest.raises(openai.InternalServerError, match="stopped answering") as caught:
        client.chat.completions.create(model="fiel", messages=messages)  # type: ignore[arg-type]
    assert caught.value.status_code == 502
    assert caught.value.response.headers["x-should-retry"] == "false"
    with pytest.raises(openai.APIError, match="stopped answering"):
        list(client.chat.completions.create(model="fiel", messages=messages, stream=True))  # type: ignore[arg-type]
    with services.database.read() as session:
        logged = list(exchanges.triples(session))
    assert [exchange.status for exchange in logged] == [ExchangeStatus.FAILED] * 2


@pytest.mark.parametrize("stream", [True, False])
def test_model_stops_when_the_client_goes(
    address: str, http: httpx.Client, add: Callable[..., Document], engine: Parrot, stream: bool
) -> None:
    add()
    url = httpx.URL(address)
    question = {"role": "user", "content": "How long does the lighthouse shine, for ever?"}
    body = json.dumps({"messages": [question], "stream": stream}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {url.netloc.decode()}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((url.host, url.port)) as connection:
        connection.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert engine.started.wait(30)
        assert not engine.stopped.is_set()
    assert engine.stopped.wait(30)

    deadline = time.monotonic() + 30
    logged = {"status": "streaming"}
    while logged["status"] == "streaming" and time.monotonic() < deadline:  # each round is a request
        logged = json.loads(http.get("/api/triples").text)
    assert logged["status"] == "stopped"
    assert logged["answer"].startswith("and on")
