"""Parsing and checking the articles of a body."""

import pytest

from services.events import ArticleIn
from services.parsing import Articles, InvalidArticle, MalformedBody, articles


def results(found: Articles) -> list[tuple[int, str]]:
    """Each index with the text of its article, or with what is wrong with it."""
    return [(index, one.text or "" if isinstance(one, ArticleIn) else str(one)) for index, one in found]


def test_json_bodies() -> None:
    """An object is one article, an array several; invalid ones are yielded with their index and cause."""
    assert results(articles(b'\xef\xbb\xbf{"text": "a"}')) == [(0, "a")]
    found = articles(b'[{"text": "a"}, 1, {"text": " "}]')
    assert len(found) == 3
    assert results(found) == [
        (0, "a"),
        (1, "must be a JSON object"),
        (2, "text: text or html is required and must not be blank"),
    ]
    assert len(articles(b"[]")) == 0


def test_lines() -> None:
    """Blank lines are skipped and not counted; a line that is not JSON is malformed, the others are parsed."""
    found = articles(b'\xef\xbb\xbf\r\n{"text": "a"}\r\n\n{\n{"text": "b"}', lines=True)
    assert len(found) == 3
    (_, first), (_, second), (_, third) = found
    assert isinstance(first, ArticleIn)
    assert isinstance(second, InvalidArticle)
    assert second.malformed
    assert isinstance(third, ArticleIn)


def test_lines_are_parsed_one_by_one() -> None:
    """The number of lines is known before the first of them is parsed."""
    found = articles(b"{\n" * 3, lines=True)
    assert len(found) == 3
    index, first = next(iter(found))
    assert index == 0
    assert isinstance(first, InvalidArticle)


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b'{"text": NaN}', b"\xff"])
def test_a_body_that_is_not_json(body: bytes) -> None:
    """The whole body is malformed, and the error says why."""
    with pytest.raises(MalformedBody, match=r"^not (JSON|UTF-8): "):
        articles(body)
