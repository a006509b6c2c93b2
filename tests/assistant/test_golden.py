import pytest

from assistant import golden
from assistant.errors import InputError
from assistant.store.database import Database
from tests.conftest import People

LINES = b'{"question": "Who?", "answer": "Ana.", "id": 7}\n\n{"question": "Where?", "answer": "Em \xc3\x89vora."}\n'


@pytest.mark.parametrize(
    "content",
    [
        LINES,
        "\ufeffquestion;answer\nWho?;Ana.\nWhere?;Em Évora.\n".encode(),
        b"answer,question\nAna.,Who?\nEm \xc3\x89vora.,Where?",
    ],
)
def test_json_lines_and_csv_say_the_same(content: bytes) -> None:
    assert [(one.question, one.answer) for one in golden.read(content)] == [("Who?", "Ana."), ("Where?", "Em Évora.")]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "the columns"),
        (b"question,answer\n", "no question"),
        (LINES + b"{", "Line 4: this is not JSON"),
        (LINES + b'{"question": "Why?"}', "Line 4: answer is missing"),
        (LINES + b'{"question": " ", "answer": "x"}', "Line 4: question is empty"),
        (LINES + b'{"question": 3, "answer": "x"}', "Line 4: question is not text"),
        (LINES + b'{"question": "Who?", "answer": "Rui."}', "Line 4: the question stands in line 1 already"),
        (LINES + b"\xff", "Line 4: this is not UTF-8"),
        (b"question,reference\nWho?,Ana.\n", "Line 1: the columns"),
        (b'question,answer\nWho?,Ana.\n"Where?,x', "this is not CSV"),
        (b"question,answer\nWho?\n", "Line 2: answer is missing"),
    ],
)
def test_faults_are_told_by_line(content: bytes, fault: str) -> None:
    with pytest.raises(InputError) as caught:
        golden.read(content)
    assert fault in str(caught.value)


def test_an_import_again_changes_answers(database: Database, people: People) -> None:
    for content, expected in ((LINES, (2, 0)), (LINES, (0, 0)), (LINES.replace(b"Ana", b"Rui"), (0, 1))):
        with database.write() as session:
            assert golden.keep(session, golden.read(content), added_by=people.admin.id) == expected
    with database.read() as session:
        assert [one.answer for one in golden.listed(session)] == ["Rui.", "Em Évora."]
