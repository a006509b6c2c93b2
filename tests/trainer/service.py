"""OpenAI's fine-tuning, files and chat APIs as published, on a local port: answers are made by OpenAI's own types.

A job moves on by one state each time it is looked at. ``options.fails`` ends it with an error; ``options.waits`` lets
it run on; ``options.outage`` is how many looks at a job, and words to cancel it, are not answered.
"""

from __future__ import annotations

import itertools
import json
import time
from types import SimpleNamespace
from typing import Annotated, Any

from fastapi import FastAPI, Form, Header, HTTPException, Request, UploadFile
from fastapi.responses import JSONResponse, StreamingResponse
from openai.types import FileDeleted, FileObject
from openai.types.chat import ChatCompletionChunk
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from openai.types.fine_tuning.fine_tuning_job import Error

STATES = ("validating_files", "queued", "running", "succeeded")
KEY = "sk-test"
TUNABLE = "gpt-4.1-mini-2025-04-14"

app = FastAPI()
files: dict[str, bytes] = {}
names: dict[str, str] = {}
numbers = itertools.count()
jobs: dict[str, FineTuningJob] = {}
events: dict[str, list[FineTuningJobEvent]] = {}
options = SimpleNamespace(fails=False, waits=False, outage=0)


@app.exception_handler(HTTPException)
async def error(_request: Request, raised: HTTPException) -> JSONResponse:
    told = {"message": raised.detail, "type": "invalid_request_error", "param": None, "code": None}
    return JSONResponse({"error": told}, raised.status_code, headers=dict(raised.headers or {}))


@app.middleware("http")
async def key(request: Request, proceed: Any) -> Any:
    if request.url.path.startswith("/v1") and request.headers.get("authorization") != f"Bearer {KEY}":
        return JSONResponse({"error": {"message": "Incorrect API key provided.", "type": "invalid_request_error"}}, 401)
    return await proceed(request)


@app.post("/v1/files")
async def upload(file: UploadFile, purpose: Annotated[str, Form()]) -> dict[str, Any]:
    content = await file.read()
    if purpose != "fine-tune":
        raise HTTPException(400, "wrong purpose")
    rows = [json.loads(line) for line in content.decode().splitlines()]
    if not all(row["messages"][-1]["role"] == "assistant" for row in rows):
        raise HTTPException(400, "The last message must be from the assistant")
    name = f"file-{next(numbers)}"
    files[name], names[name] = content, file.filename or ""
    made = FileObject(
        id=name, bytes=len(content), created_at=1, filename=names[name], object="file", purpose="fine-tune",
        status="processed",
    )  # fmt: skip
    return made.model_dump()


@app.get("/v1/files")
async def stored(purpose: str) -> dict[str, Any]:
    found = [
        FileObject(
            id=name, bytes=len(content), created_at=1, filename=names[name], object="file", purpose="fine-tune",
            status="processed",
        ).model_dump()
        for name, content in files.items() if purpose == "fine-tune"
    ]  # fmt: skip
    return {"object": "list", "data": found, "has_more": False}


@app.delete("/v1/files/{name}")
async def delete(name: str) -> dict[str, Any]:
    if files.pop(name, None) is None:
        raise HTTPException(404, "No such File object")
    return FileDeleted(id=name, deleted=True, object="file").model_dump()


@app.post("/v1/fine_tuning/jobs")
async def create(request: Request) -> dict[str, Any]:
    asked = await request.json()
    if asked["model"] != TUNABLE:
        raise HTTPException(400, f"Model {asked['model']} is not available for fine-tuning.")
    rows = files[asked["training_file"]].decode().splitlines()
    if len(rows) < 10:
        raise HTTPException(400, "Training file has fewer than 10 examples")
    name = f"ftjob-{len(jobs)}"
    jobs[name] = FineTuningJob(
        id=name,
        created_at=int(time.time()),
        hyperparameters=asked["method"]["supervised"]["hyperparameters"],
        model=asked["model"],
        object="fine_tuning.job",
        organization_id="org",
        result_files=[],
        seed=asked["seed"],
        status="validating_files",
        training_file=asked["training_file"],
        validation_file=asked.get("validation_file"),
        metadata=asked["metadata"],
        method=asked["method"],
    )
    events[name] = []
    _note(name, f"Created fine-tuning job: {name}")
    return jobs[name].model_dump()


@app.get("/v1/fine_tuning/jobs")
async def listed(request: Request) -> dict[str, Any]:
    wanted = {k[9:-1]: v for k, v in request.query_params.items() if k.startswith("metadata[")}
    found = [job.model_dump() for job in jobs.values() if job.metadata == wanted]
    return {"object": "list", "data": found, "has_more": False}


@app.get("/v1/fine_tuning/jobs/{name}")
async def look(name: str) -> dict[str, Any]:
    if name not in jobs:
        raise HTTPException(404, "Could not find fine tune")
    _answer_or_not()
    job = jobs[name]
    seen = job.model_copy()
    place = STATES.index(job.status) if job.status in STATES[:-1] else None
    if place is not None and not (options.waits and job.status == "running"):
        job.status = STATES[place + 1]  # type: ignore[assignment]
        _note(name, f"The job is {job.status}", {"step": place + 1, "total_steps": 3, "train_loss": 1.5 - 0.1 * place})
        if job.status == "succeeded" and options.fails:
            job.status = "failed"
            job.error = Error(code="bad", message="The dataset was blocked by our policy.", param="training_file")
        elif job.status == "succeeded":
            job.fine_tuned_model = f"ft:{job.model}:org:fiel:{name}"
            job.trained_tokens = 1234
    return seen.model_dump()


@app.get("/v1/fine_tuning/jobs/{name}/events")
async def told(name: str) -> dict[str, Any]:
    return {"object": "list", "data": [e.model_dump() for e in reversed(events[name])], "has_more": False}


@app.post("/v1/fine_tuning/jobs/{name}/cancel")
async def cancel(name: str) -> dict[str, Any]:
    _answer_or_not()
    jobs[name].status = "cancelled"
    return jobs[name].model_dump()


@app.post("/v1/chat/completions")
async def chat(request: Request) -> Any:
    asked = await request.json()
    known = {TUNABLE, *(job.fine_tuned_model for job in jobs.values()), "ft:known"}
    if asked["model"] not in known:
        raise HTTPException(404, f"The model {asked['model']} does not exist")
    words = f"{asked['model']} heard: {asked['messages'][-1]['content']}".split(" ")[: asked["max_completion_tokens"]]

    async def stream() -> Any:
        common = {"id": "c", "created": 1, "model": asked["model"], "object": "chat.completion.chunk"}
        for n, word in enumerate(words):
            choice = {"index": 0, "delta": {"content": word if n == 0 else f" {word}"}}
            yield f"data: {ChatCompletionChunk.model_validate(common | {'choices': [choice]}).model_dump_json()}\n\n"
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        yield f"data: {ChatCompletionChunk.model_validate(common | end).model_dump_json()}\n\n"
        usage = {"prompt_tokens": 7, "completion_tokens": len(words), "total_tokens": 7 + len(words)}
        last = ChatCompletionChunk.model_validate(common | {"choices": [], "usage": usage})
        yield f"data: {last.model_dump_json()}\n\ndata: [DONE]\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


@app.get("/seen")
async def seen(authorization: Annotated[str | None, Header()] = None) -> dict[str, Any]:
    """For tests: what the service holds."""
    return {
        "files": {name: content.decode() for name, content in files.items()},
        "jobs": {name: job.model_dump() for name, job in jobs.items()},
    }


def _answer_or_not() -> None:
    if options.outage:
        options.outage -= 1
        raise HTTPException(503, "overloaded", headers={"retry-after-ms": "1"})


def _note(job: str, message: str, data: dict[str, Any] | None = None) -> None:
    events[job].append(
        FineTuningJobEvent(
            id=f"ev-{job}-{len(events[job])}", created_at=int(time.time()), level="info", message=message,
            object="fine_tuning.job.event", data=data, type="metrics" if data else "message",
        )
    )  # fmt: skip
