from __future__ import annotations

from assistant.citations import cited, marks
from assistant.records import SHARED, Passage


def passage(
    *sentences: str, document: str = "a.txt", first: int = 0, start: int = 0, hits: tuple[int, ...] = ()
) -> Passage:
    spans, at = [], 0
    for index, sentence in enumerate(sentences, start=first):
        spans.append((index, at, at + len(sentence)))
        at += len(sentence) + 1
    return Passage(
        document_id=1,
        lineage="l",
        document=document,
        scope=SHARED,
        page=None,
        section=0,
        start=start,
        end=start + at - 1,
        text=" ".join(sentences),
        score=1.0,
        sentences=tuple(spans),
        hits=hits,
    )


RIVER = passage("The Minho is a river.", "It rises in Lugo.", "It is 300 km long.", first=4, start=100)
CITY = passage("Porto lies on the Douro.", "It makes wine.", document="b.txt")


def test_points_to_the_sentence_that_shares_most_words() -> None:
    (citation,) = cited("It rises in Lugo [1].", [RIVER, CITY])
    assert (citation.n, citation.document, citation.sentence, citation.sentence_index) == (
        1,
        "a.txt",
        "It rises in Lugo.",
        5,
    )
    assert (citation.start, citation.end) == (122, 139)
    assert RIVER.text[citation.start - RIVER.start : citation.end - RIVER.start] == citation.sentence
    assert citation.window == RIVER.text


def test_a_short_heading_is_not_cited_with_its_sentence() -> None:
    lamp = passage("It gives light.", "## Warranty\n\nIt lasts three years.", start=50)
    (citation,) = cited("It lasts three years [1].", [lamp])
    assert (citation.sentence, citation.start) == ("It lasts three years.", 50 + lamp.text.index("It lasts"))


def test_each_mark_closes_the_text_since_the_one_before() -> None:
    answer = "The river is 300 km long [1]. Porto makes wine [2]."
    assert [(c.n, c.sentence) for c in cited(answer, [RIVER, CITY])] == [
        (1, "It is 300 km long."),
        (2, "It makes wine."),
    ]


def test_adjacent_marks_close_the_same_text() -> None:
    for answer in (
        "Porto lies on the Douro [2][1].",
        "Porto lies on the Douro [2] [1]",
        "Porto lies on the Douro [2, 1].",
    ):
        assert [c.n for c in cited(answer, [RIVER, CITY])] == [2, 1], answer
        assert cited(answer, [RIVER, CITY])[0].sentence == "Porto lies on the Douro.", answer


def test_the_same_sentence_is_cited_once() -> None:
    assert len(cited("It makes wine [2]. Wine it makes [2].", [RIVER, CITY])) == 1


def test_marks_of_passages_that_do_not_exist_are_passed_over() -> None:
    assert cited("Nothing [0] of [3] this [12345678901234567890] is there, [x] neither []. 1]", [RIVER, CITY]) == ()


def test_without_shared_words_the_sentence_that_was_found_is_cited() -> None:
    found = passage("One two.", "Three four.", "Five six.", hits=(1,))
    assert cited("Zzz [1]", [found])[0].sentence == "Three four."


def test_marks_cover_the_whole_of_a_group() -> None:
    answer = "Both [1, 2] and [2][9,1]."
    spans = [(answer[start:end], citation.n) for start, end, citation in marks(answer, [RIVER, CITY])]
    assert spans == [("[1, ", 1), ("2]", 2), ("[2]", 2), ("1]", 1)]


def test_words_compare_without_case_and_in_any_script() -> None:
    found = passage("A água é fria.", "O PÃO é quente.")
    assert cited("O pão é QUENTE [1].", [found])[0].sentence == "O PÃO é quente."
