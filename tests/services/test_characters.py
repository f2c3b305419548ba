"""Characters of foreign text that may not pass."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.characters import one_line, plain, web_address
from services.events import ArticleIn, RawArticle
from services.identity import article_id
from services.parsing import InvalidArticle, check
from tests.harness import ARRIVAL

HOSTILE = "a\x00b\x1b[31m\u202ec\x9bd\x7f\u2066e\u2069\nf\u2028g"


def test_shown_fields_hold_no_control_characters() -> None:
    """Direction overrides are removed, controls are spaces or what windows-1252 has there; nothing else changes."""
    article = ArticleIn(text="x", source=HOSTILE, title=HOSTILE, guid=HOSTILE, authors=[HOSTILE, "هدى"])
    assert article.source == article.guid == article.authors[0] == "a bc›d e f g"
    assert article.title == "a bc›d e\nf\u2028g"
    assert article.authors[1] == "هدى"
    assert ArticleIn(text="x", source="\x00\u202e").source is None


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    """What was cleaned at the door is not changed when it is read from Kafka; printable text is not changed at all."""
    for clean in (one_line, plain):
        assert clean(clean(text)) == clean(text)
        if text.isprintable():
            assert clean(text) == text


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://a.example/x?q=1&r=[2]#f", "https://a.example/x?q=1&r=[2]#f"),
        ("https://a.example/%D8%AE", "https://a.example/%D8%AE"),
        (
            "https://a.example/خبر عاجل?q=ج#ف",
            "https://a.example/%D8%AE%D8%A8%D8%B1%20%D8%B9%D8%A7%D8%AC%D9%84?q=%D8%AC#%D9%81",
        ),
        ("http://مثال.example:81/", "http://xn--mgbh0fb.example:81/"),
        ('http://a.example/"><b>', "http://a.example/%22%3E%3Cb%3E"),
        ("http://a.example/100%", "http://a.example/100%25"),
        ("http://a.example/\u202ex\u2066", "http://a.example/x"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
    ],
)
def test_urls_are_encoded(given: str, expected: str) -> None:
    """What RFC 3986 does not allow is percent-encoded; a valid address stays as it is, and so do ids."""
    article = ArticleIn(text="x", url=given)
    assert article.url == expected
    assert ArticleIn(text="x", url=expected).url == expected
    assert article_id(article) == article_id(ArticleIn(text="x", url=expected))


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/\nx",
        "http://a.example/\x1b",
        "http://a b/",
        "http://<a>/",
        'http://"/',
        "ftp://a/",
        "http:///x",
        "x",
    ],
)
def test_what_cannot_be_a_url_is_refused(url: str) -> None:
    """The error names the field."""
    refused = check({"text": "x", "url": url})
    assert isinstance(refused, InvalidArticle)
    assert refused.field == "url"
    with pytest.raises(ValueError):
        web_address(url)


def test_records_of_other_producers_are_cleaned_too() -> None:
    """A raw article that did not come through ingest is checked when it is read."""
    value = {"id": "i", "received_at": ARRIVAL.isoformat(), "text": "x", "source": HOSTILE, "url": "http://a/ b"}
    read = RawArticle.model_validate_json(json.dumps(value))
    assert (read.source, read.url) == ("a bc›d e f g", "http://a/%20b")
