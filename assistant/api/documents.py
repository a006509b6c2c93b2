"""Documents by HTTP: add, list, look at, try again, delete; and the original as it was added."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Response, UploadFile
from fastapi.responses import FileResponse, JSONResponse

from assistant.api import errors
from assistant.api.dependencies import DocumentPath, Me, Parts
from assistant.documents.ingest import upload_scope
from assistant.errors import FielError
from assistant.records import SHARED, Document, Person
from assistant.services import Services

router = APIRouter(prefix="/api/documents", tags=["documents"])

_INTERNAL = ("added_by", "scope", "lineage", "generation", "file", "source", "content_hash", "embedding")


@router.post("", status_code=202)
def add_documents(files: Annotated[list[UploadFile], File()], services: Parts, person: Me) -> JSONResponse:
    """Takes files in and reads them in the background; ``GET /api/documents`` tells how far each one is.

    ``files`` of the answer has one entry for each file, in order: ``name``, and either ``document`` or ``error``. The
    status is 202, or the error's when no file could be taken. A file that is already there is not added again: its
    entry holds the document that there is, and ``added`` is false.
    """
    results = [_add(file, services, person) for file in files]
    refused = [status for status, _ in results if status != 202]
    status = refused[0] if len(refused) == len(results) else 202
    content: dict[str, Any] = {"files": [entry for _, entry in results]}
    if status != 202:
        content |= {"error": results[0][1]["error"]}
    return JSONResponse(content, status_code=status)


@router.get("")
def list_documents(services: Parts, person: Me) -> dict[str, Any]:
    """All documents that you may search, by name."""
    return {"documents": [as_json(document) for document in services.library.documents(person)]}


@router.get("/{document_id}")
def get_document(document_id: DocumentPath, services: Parts, person: Me) -> dict[str, Any]:
    return as_json(services.library.document(document_id, person=person))


@router.delete("/{document_id}", status_code=204)
def delete_document(document_id: DocumentPath, services: Parts, person: Me) -> Response:
    """Deletes the document with its sentences, vectors, words and file, and what anybody's answers told of it."""
    services.forgetting.document(document_id, person=person)
    return Response(status_code=204)


@router.post("/{document_id}/retry", status_code=202)
def retry_document(document_id: DocumentPath, services: Parts, person: Me) -> dict[str, Any]:
    """Reads a failed document again."""
    services.library.retry(document_id, person=person)
    return as_json(services.library.document(document_id, person=person))


@router.get("/{document_id}/original", response_class=FileResponse)
def get_original(document_id: DocumentPath, services: Parts, person: Me) -> FileResponse:
    """The file as it was added. A PDF opens in the browser (``#page=3``); all else is a download.

    Nothing that somebody uploaded is ever served as a page of this program.
    """
    document, path = services.library.original(document_id, person=person)
    is_pdf = _is_pdf(path)
    # A browser shows no PDF in a sandbox; what is declared to be one is never run as a page.
    policy = "frame-ancestors 'self'" if is_pdf else "sandbox; default-src 'none'"
    return FileResponse(
        path,
        media_type="application/pdf" if is_pdf else "application/octet-stream",
        filename=document.name.rpartition("/")[2] or "document",
        content_disposition_type="inline" if is_pdf else "attachment",
        headers={"Cache-Control": "private, no-cache", "Content-Security-Policy": policy},
    )


def as_json(document: Document) -> dict[str, Any]:
    values = asdict(document)
    for name in _INTERNAL:
        del values[name]
    times = {name: values[name].isoformat() for name in ("created_at", "updated_at")}
    return values | times | {"shared": document.scope == SHARED}


def _add(file: UploadFile, services: Services, person: Person) -> tuple[int, dict[str, Any]]:
    name, began = file.filename or "", datetime.now(UTC)
    try:
        document = services.library.add(name, file.file, scope=upload_scope(person), person=person)
    except FielError as error:
        status, kind = errors.describe(error)
        return status, {"name": name, "document": None, "added": False} | errors.body(str(error), kind)
    added = document.created_at >= began
    return 202, {"name": name, "document": as_json(document), "added": added, "error": None}


def _is_pdf(path: Path) -> bool:
    with path.open("rb") as file:
        return b"%PDF-" in file.read(1024)
