from __future__ import annotations

import re
from collections.abc import Callable
from itertools import accumulate

import httpx

from assistant.documents.ingest import Library
from assistant.records import Document, Sentence
from assistant.store import documents as store
from assistant.store.database import Database
from tests.assistant.api.conftest import LIGHTHOUSE
from tests.conftest import People


def upload(http: httpx.Client, *files: tuple[str, bytes]) -> httpx.Response:
    return http.post("/api/documents", files=[("files", file) for file in files])


def test_upload_list_ask_delete(http: httpx.Client, library: Library) -> None:
    response = upload(
        http, ("lighthouse.txt", LIGHTHOUSE.encode()), ("empty.txt", b""), ("again.txt", LIGHTHOUSE.encode())
    )
    assert response.status_code == 202
    taken, empty, again = response.json()["files"]
    assert taken["document"]["status"] in {"queued", "indexing", "ready"}
    assert "empty" in empty["error"]["message"]
    assert again["document"]["id"] == taken["document"]["id"]

    assert library.wait_idle(60)
    (document,) = http.get("/api/documents").json()["documents"]
    assert (document["name"], document["status"], document["sentences"]) == ("lighthouse.txt", "ready", 3)
    assert document["shared"] is True
    path = f"/api/documents/{document['id']}"
    assert http.get(path).json() == document
    assert "file" not in document

    assert http.post(f"{path}/retry").status_code == 422
    assert http.delete(path).status_code == 204
    for gone in (path, f"{path}/original", f"/documents/{document['id']}"):
        assert http.get(gone).status_code == 404
    assert http.delete(path).status_code == 404


def test_failed_document_says_why_and_can_be_tried_again(http: httpx.Client, library: Library) -> None:
    (entry,) = upload(http, ("broken.pdf", b"%PDF-1.7 and then nothing")).json()["files"]
    assert library.wait_idle(60)
    path = f"/api/documents/{entry['document']['id']}"
    document = http.get(path).json()
    assert document["status"] == "failed"
    assert len(document["reason"]) > 10
    assert http.post(f"{path}/retry").status_code == 202
    assert library.wait_idle(60)
    assert http.get(path).json()["status"] == "failed"
    assert document["reason"].split(".")[0] in http.get(f"/documents/{document['id']}").text


def test_too_large_is_refused(http: httpx.Client) -> None:
    assert upload(http, ("large.txt", b"x" * 11 * 1024**2)).status_code == 413
    assert http.get("/api/documents").json() == {"documents": []}


NAMES = (
    "../../etc/passwd", "..\\..\\boot.ini", "/etc/passwd", 'a"; x="<script>.txt', "a\r\nX-Evil: 1.txt", "é" * 300, "."
)  # fmt: skip


def test_names_are_only_names(http: httpx.Client, library: Library) -> None:
    entries = upload(http, *((name, LIGHTHOUSE.encode() + name.encode()) for name in NAMES)).json()["files"]
    assert library.wait_idle(60)
    assert len({entry["document"]["id"] for entry in entries}) == len(NAMES)
    for entry in entries:
        original = http.get(f"/api/documents/{entry['document']['id']}/original")
        assert original.content.startswith(LIGHTHOUSE.encode())
        assert "x-evil" not in original.headers
        disposition = original.headers["content-disposition"]
        assert re.fullmatch(r"""attachment; filename(="[^"/\\]+"|\*=utf-8''[\w%.~-]+)""", disposition, re.ASCII)
        assert "<script>" not in http.get(f"/documents/{entry['document']['id']}").text


def test_uploaded_page_is_never_served_as_one(http: httpx.Client, add: Callable[..., Document]) -> None:
    document = add("<h1>Hello</h1><script>alert('hello')</script><p>There is a lighthouse.</p>", name="page.html")
    original = http.get(f"/api/documents/{document.id}/original")
    assert original.headers["content-type"] == "application/octet-stream"
    assert original.headers["content-disposition"].startswith("attachment")
    assert original.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in original.headers["content-security-policy"]


def test_pdf_opens_in_the_browser(http: httpx.Client, add: Callable[..., Document]) -> None:
    document = add(pdf("Page one.", "The lighthouse was built in 1894."), name="guide.pdf")
    original = http.get(f"/api/documents/{document.id}/original")
    assert original.headers["content-type"] == "application/pdf"
    assert original.headers["content-disposition"] == 'inline; filename="guide.pdf"'
    page = http.get(f"/documents/{document.id}", params={"page": 2}).text
    assert '<h2 id="page-2" tabindex="-1" autofocus>Page 2</h2>' in page
    assert f"/api/documents/{document.id}/original#page=2" in page


def test_viewer_marks_the_sentence_and_escapes_the_text(http: httpx.Client, add: Callable[..., Document]) -> None:
    text = "A <b>bold</b> start. The lamp & its <i>oil</i> burned. The end came in 1894.\n"
    document = add(text, name="<img src=x>.txt")
    start = text.index("The lamp")
    end = text.index(" The end")
    response = http.get(f"/documents/{document.id}", params={"start": start, "end": end})
    assert (
        '<mark id="cited" tabindex="-1" autofocus>The lamp &amp; its &lt;i&gt;oil&lt;/i&gt; burned.</mark>'
        in response.text
    )
    assert "&lt;img src=x&gt;.txt" in response.text
    assert "<img" not in response.text
    assert "<script" not in response.text
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'nonce-")
    assert "script" not in policy


def test_viewer_shows_a_long_text_in_parts(
    http: httpx.Client, add: Callable[..., Document], database: Database
) -> None:
    document = add()
    texts = [f"Sentence number {n} speaks of the sea.\n\n" for n in range(1500)]
    starts = [0, *accumulate(map(len, texts))]
    sentences = [Sentence(n, starts[n], starts[n + 1] - 2, text, n, 0) for n, text in enumerate(texts)]
    with database.write() as session:  # what indexing leaves, without the time it takes
        store.set_ready(session, document.id, sentences=sentences, pages=None, empty_pages=0, embedding="none")

    page = http.get(f"/documents/{document.id}", params={"start": starts[900], "end": starts[900] + 8}).text
    assert ">Sentence</mark> number 900 " in page
    assert "number 499 " not in page
    assert "number 1301 " not in page
    later = re.search(r'href="(\?start=\d+)">Later', page)
    earlier = re.search(r'href="(\?start=\d+)">Earlier', page)
    assert later is not None
    assert earlier is not None
    assert "number 1301 " in http.get(f"/documents/{document.id}{later.group(1)}").text
    assert "number 499 " in http.get(f"/documents/{document.id}{earlier.group(1)}").text


def test_documents_of_others_do_not_exist(http: httpx.Client, add: Callable[..., Document], people: People) -> None:
    document = add(person=people.ana)
    assert http.get("/api/documents").json() == {"documents": []}
    for path in (
        f"/api/documents/{document.id}",
        f"/api/documents/{document.id}/original",
        f"/documents/{document.id}",
    ):
        assert http.get(path).status_code == 404
    assert http.delete(f"/api/documents/{document.id}").status_code == 404


def pdf(*pages: str) -> bytes:
    """A small PDF with a line of text on each page."""
    objects = ["<</Type/Catalog/Pages 2 0 R>>", "", "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"]
    kids = []
    for text in pages:
        stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
        objects.append(f"<</Length {len(stream)}>>stream\n{stream}\nendstream")
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents {len(objects)} 0 R"
            "/Resources<</Font<</F1 3 0 R>>>>>>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<</Type/Pages/Kids[{' '.join(kids)}]/Count {len(kids)}>>"
    body, offsets = "%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += f"{number} 0 obj{content}endobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    end = (
        f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer<</Size {size}/Root 1 0 R>>\nstartxref\n{len(body)}\n%%EOF"
    )
    return (body + end).encode()
