"""Parsing and checking the articles of a body."""

import contextlib
import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services import parsing
from services.events import ArticleIn
from services.parsing import Articles, InvalidArticle, MalformedBody, TooMany, articles


def results(found: Articles) -> list[tuple[int, str]]:
    """Each index with the text of its article, or with what is wrong with it."""
    return [(index, one.text or "" if isinstance(one, ArticleIn) else str(one)) for index, one in found]


def test_json_bodies() -> None:
    """An object is one article, an array several; invalid ones are yielded with their index and cause."""
    assert results(articles(b'\xef\xbb\xbf{"text": "a"}', most=10)) == [(0, "a")]
    found = articles(b'[{"text": "a"}, 1, {"text": " "}]', most=10)
    assert len(found) == 3
    assert results(found) == [
        (0, "a"),
        (1, "must be a JSON object"),
        (2, "text: text or html is required and must not be blank"),
    ]
    assert len(articles(b"[]", most=10)) == 0


def test_long_numbers_are_refused_in_plain_words() -> None:
    """A number of too many digits is not accepted; the message states the limit and nothing about Python."""
    body = b'{"text": "a"}\n{"text": "b", "x": -' + b"9" * 100_000 + b'}\n{"text": "c", "x": 123}'
    assert results(articles(body, lines=True, most=10)) == [
        (0, "a"),
        (1, "not JSON: a number has 100001 characters, more than 4000"),
        (2, "c"),
    ]


def test_lines() -> None:
    """Blank lines are skipped and not counted; a line that is not JSON is malformed, the others are parsed."""
    found = articles(b'\xef\xbb\xbf\r\n{"text": "a"}\r\n\n{\n{"text": "b"}', lines=True, most=10)
    assert len(found) == 3
    (_, first), (_, second), (_, third) = found
    assert isinstance(first, ArticleIn)
    assert isinstance(second, InvalidArticle)
    assert second.malformed
    assert isinstance(third, ArticleIn)


def test_lines_are_parsed_one_by_one() -> None:
    """The number of lines is known before the first of them is parsed."""
    found = articles(b"{\n" * 3, lines=True, most=10)
    assert len(found) == 3
    index, first = next(iter(found))
    assert index == 0
    assert isinstance(first, InvalidArticle)


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b'{"text": NaN}', b"\xff"])
def test_a_body_that_is_not_json(body: bytes) -> None:
    """The whole body is malformed, and the error says why."""
    with pytest.raises(MalformedBody, match=r"^not (JSON|UTF-8): "):
        results(articles(body, most=10))


@pytest.mark.parametrize(
    "body",
    [
        b"[1 2]",
        b"[1,]",
        b"[,1]",
        b"[1,,2]",
        b"[1]2",
        b"[1}",
        b"[{]}",
        b"[{}}",
        b"[[}]",
        b'["]',
        b'["\\',
        b"[1",
        b"[1,2",
        b'{"a":1}]',
        b'[{"text": "a"}, {"text": NaN}]',
    ],
)
def test_a_damaged_array_is_malformed_as_a_whole(body: bytes) -> None:
    """Elements are read one by one, yet none counts when the body is not one JSON value."""
    with pytest.raises(MalformedBody, match="not JSON: "):
        results(articles(body, most=10))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.recursive(st.none() | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one))))
def test_elements_are_those_that_json_finds(values: list[object]) -> None:
    """Whatever is in the strings, each element is read whole, with any white space around it."""
    for body in (json.dumps(values), json.dumps(values, ensure_ascii=False, indent=1), f" {json.dumps(values)}\r\n"):
        found = articles(body.encode("utf-8", "surrogatepass"), most=1_000)
        assert [json.loads(found._body[one.start : one.end]) for one in found._elements] == values


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='"\\\\[]{},:a \n', max_size=60))
def test_long_bodies_have_the_same_elements(text: str) -> None:
    """The strings of long bodies are read in pieces; nothing else differs, whatever is in them."""
    body = json.dumps([text, {"a": [text]}, text]).encode() + text.encode()
    wanted = [match.span() for match in parsing._TOKEN.finditer(body) if match[0][:1] != b'"']
    assert [match.span() for match in parsing._long_tokens(body, 0, len(body))] == wanted


@pytest.mark.parametrize("character", [b"x", "ب".encode(), b"\\u0628", b"\\\\", b",", b'\\"'])
def test_a_long_string_is_read_in_pieces(character: bytes) -> None:
    """No single match, which keeps all other threads waiting, is long."""
    piece = parsing._PIECE.match(character * 1_000_000)
    assert piece is not None
    assert 0 < piece.end() <= 150_000


@pytest.mark.parametrize("unit", [b"[]", b"{}", b'""', b"1", b'{"x":[]}', b"[[]]"])
def test_values_are_counted_before_they_are_built(unit: bytes) -> None:
    """A body of millions of values is refused in moments, wherever they are; the message says why."""
    many = b",".join([unit] * (8_000_000 // (len(unit) + 1)))
    refused = {b"[%s]": "more than 1000 articles", b'[{"text":"a","x":[%s]}]': "more than 101000 members and values"}
    started = time.process_time()
    for form, cause in refused.items():
        with pytest.raises(TooMany, match=cause):
            articles(form % many, most=1_000)
    (_, found), (_, other) = articles(b'{"text":"a","x":[%s]}\n{"text":"b"}' % many, lines=True, most=2)
    assert str(found) == "more than 1000 members and values"
    assert isinstance(other, ArticleIn)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("body", [b" ", b"\n", b" \n", b'"', b"\\", b'"\\', b'\\"', b"[", b",", b'",'])
@pytest.mark.parametrize("lines", [False, True])
def test_time_grows_with_the_size_of_a_body_only(body: bytes, lines: bool) -> None:
    """Megabytes of any character take moments."""
    started = time.process_time()
    with contextlib.suppress(MalformedBody, TooMany):
        results(articles(body * (4_000_000 // len(body)), lines=lines, most=1_000))
    assert time.process_time() - started < 2


_PARTS = (
    '{"text": "a"}',
    '{"text": "a,[{\\"}", "url": "https://a.example/x?y=[1]"}',
    '{"text": "x", "authors": ["a", "b"]}',
    '{"more": {"b": 1}, "text": "q"}',
    '{"text": "\\\\"}',
    '{"text": NaN}',
    '{"authors": [["x"]], "text": "y"}',
    '{"text": "%s"}' % ("é, " * 40),
    *("{}", "[]", "1", '"x"', "{", "}", '"', "]", ",", " \n", '{"a" "b"}'),
)


def test_the_short_way_through_an_array_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays of simple objects are read in a shorter way, with the same articles and errors as all others."""

    def found(body: bytes) -> object:
        try:
            return [(index, str(article)) for index, article in parsing.articles(body, most=4)]
        except (parsing.MalformedBody, parsing.TooMany) as error:
            return repr(error)

    chance = random.Random(1)
    bodies = []
    for _ in range(1_500):
        body = f"[{','.join(chance.choices(_PARTS, k=chance.randrange(6)))}]{chance.choice(('', ' ', 'x'))}".encode()
        bodies.append(body[: chance.randrange(len(body))] if chance.random() < 0.2 else body)
    short = [found(body) for body in bodies]
    monkeypatch.setattr(parsing, "_simple_elements", lambda *_: None)
    monkeypatch.setattr(parsing, "_is_simple", lambda *_: False)
    assert short == [found(body) for body in bodies]
