"""The id of an article."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from services import characters
from services.events import ArticleIn
from services.identity import article_id, digest

words = st.text(min_size=1, max_size=30).filter(lambda text: characters.one_line(text).strip())


@settings(max_examples=50, deadline=None)
@given(text=words, source=st.none() | words, guid=st.none() | words)
def test_shape_and_determinism(text: str, source: str | None, guid: str | None) -> None:
    """Every article has an id of 26 lowercase base32 characters, and equal articles have the same id."""
    one, other = (ArticleIn(text=text, source=source, guid=guid) for _ in range(2))
    assert article_id(one) == article_id(other)
    assert re.fullmatch(r"[a-z2-7]{26}", article_id(one))


def test_known_value() -> None:
    """Ids do not change between versions of Khabar: they are stored in many places."""
    assert article_id(ArticleIn(text="x", source="example.org", guid="1")) == "5tgak5pzbehr6k4inidlqft4y2"


@settings(max_examples=50, deadline=None)
@given(source=words, guid=words, text=words, other=words)
def test_guid_decides(source: str, guid: str, text: str, other: str) -> None:
    """Articles with the same source and guid have the same id, whatever their text, title, url or date."""
    first = ArticleIn(text=text, source=source, guid=guid)
    second = ArticleIn(html=other, title="t", url="https://example.org/", source=source, guid=guid)
    assert article_id(first) == article_id(second)


def test_url_then_content_decide() -> None:
    """Without a guid the url decides, without both the content; another source gives another id."""
    url = "https://example.org/1"
    assert article_id(ArticleIn(text="a", url=url)) == article_id(ArticleIn(text="b", url=url))
    assert article_id(ArticleIn(text="a", url=url)) != article_id(ArticleIn(text="a", url=url, source="s"))
    assert article_id(ArticleIn(text="a", url=url)) != article_id(ArticleIn(text="a", guid=url))
    assert article_id(ArticleIn(text="a")) != article_id(ArticleIn(text="b"))
    assert article_id(ArticleIn(text="a")) != article_id(ArticleIn(html="a"))
    assert article_id(ArticleIn(text="a", title="t")) != article_id(ArticleIn(text="a"))
    assert article_id(ArticleIn(text="a", guid=" ")) == article_id(ArticleIn(text="a"))


@given(
    one=st.lists(st.none() | st.text(max_size=5), max_size=4), two=st.lists(st.none() | st.text(max_size=5), max_size=4)
)
def test_the_boundaries_of_parts_matter(one: list[str | None], two: list[str | None]) -> None:
    """Different lists of parts give different digests, even if their concatenations are equal."""
    assert (digest(*one) == digest(*two)) == (one == two)
