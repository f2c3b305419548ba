"""Annotate as a whole: properties of every article, of hostile ones too."""

import json
import unicodedata
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrich.annotate import MAX_ENTITIES, annotate
from enrich.text.cleaning import EmptyText
from services.events import AnnotatedArticle, ArticleIn
from tests.harness import ARRIVAL, raw, seed_articles, seed_labels

PARAGRAPHS = [
    text
    for article, label in zip(seed_articles(), seed_labels(), strict=True)
    for text in (article.text or "").split("\n\n")
    if len(text) > 80 and label["language"] == "ar"
]
PIECES = st.sampled_from(
    [
        *PARAGRAPHS[:40],
        "قال فلاديمير بوتين: «لن نتراجع عن هذا القرار مهما حدث»، وأضاف ماكرون أن المحادثات مستمرة.",
        "Emmanuel Macron said: “We will not go back on this decision.” He spoke in Paris on Thursday.",
        "«",
        "\u202e",
        "ـ" * 5,
        "((((",
        "👩\u200d👩\u200d👧",
        "2022.02.28 | 21:02",
        "أمس",
        "+A",
        "\ud83d".encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
    ]
)
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=40)), min_size=1, max_size=6).map("\n\n".join)


def annotated(text: str, **fields: object) -> AnnotatedArticle | None:
    """The article, or None where it has no readable text."""
    try:
        return annotate(raw(ArticleIn(text=f"{text} .", **fields), "a", ARRIVAL))
    except EmptyText:
        return None


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_spans_always_match_the_text(text: str) -> None:
    """The offsets of mentions, quotes, dates and boilerplate are right for any text."""
    article = annotated(text)
    if article is None:
        return
    shown = article.text
    for part in (*(m for e in article.entities for m in e.mentions), *article.quotes, *article.dates):
        assert part.text
        assert shown[part.start : part.end] == part.text
    for span in article.boilerplate:
        assert 0 <= span.start < span.end <= len(shown)
    spans = sorted((m.start, m.end) for e in article.entities for m in e.mentions)
    assert all(one[1] <= other[0] for one, other in pairwise(spans)), "mentions overlap"
    assert AnnotatedArticle.model_validate_json(article.encode()) == article


@settings(max_examples=30, deadline=None)
@given(TEXTS)
def test_annotating_twice_gives_the_same(text: str) -> None:
    """Same input, same output: nothing depends on earlier articles."""
    assert annotated(text) == annotated(text)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(PARAGRAPHS), min_size=1, max_size=4), st.sampled_from(PARAGRAPHS))
def test_a_further_paragraph_changes_no_span_before_it(paragraphs: list[str], more: str) -> None:
    """Entities, quotes and dates found in a text are still found when the text is longer."""
    before = annotated("\n\n".join(paragraphs), title="عنوان", language="ar")
    after = annotated("\n\n".join([*paragraphs, more]), title="عنوان", language="ar")
    assert before is not None
    assert after is not None
    end = len("\n\n".join(paragraphs))
    spans = [sorted((m.start, m.end) for e in a.entities for m in e.mentions if m.end <= end) for a in (before, after)]
    assert spans[0] == spans[1]


HOSTILE = {
    "one word of 100,000 letters": "ب" * 100_000,
    "one word of 100,000 Latin letters": "a" * 100_000,
    "a million characters of words": "قال الرئيس فلاديمير بوتين إن روسيا " * 28_000,
    "a million quotation marks": "«" * 999_000,
    "quotes that never close": "قال بوتين: «" * 80_000,
    "a million brackets": "(" * 999_000 + "ا",
    "a million line ends": "س" + "\n" * 900_000 + "س",
    "many short lines": "كلمة\n" * 190_000,
    "nothing but full stops": "ا." * 490_000,
    "only emoji": "🙂" * 10_000,
    "right-to-left overrides": "\u202eabc\u202c \u2067قال بوتين\u2069 " * 20_000,
    "diacritics without letters": "\u064b" * 400_000 + " كلمة",
    "dates without end": "28 شباط 2022 " * 70_000,
    "capitals without end": "Vladimir Putin And " * 50_000,
    "glued without end": "الولاياتالمتحدة" * 60_000,
    "initials without end": "A.B." * 240_000,
    "mixed scripts": "Путин بوتين Putin 普京 " * 40_000,
}
MARKUP = {
    "tags nested 100,000 deep": "<div>" * 100_000 + "نص الخبر هنا" + "</div>" * 100_000,
    "an attribute of a megabyte": f'<p class="{"a " * 500_000}">نص الخبر هنا</p>',
    "entities that expand": "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;']>]><p>نص &b; الخبر</p>",
    "unclosed tags": "<p><b><i>نص الخبر " * 50_000,
    "a table of 50,000 cells": "<table>" + "<tr><td>نص</td></tr>" * 50_000 + "</table>",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_text_gives_a_result_or_an_error(text: str) -> None:
    """No text crashes annotate or takes long; a text without a word is refused for that reason."""
    try:
        article = annotate(raw(ArticleIn(text=text), "a"))
    except EmptyText as error:
        assert "readable" in str(error)
    else:
        json.loads(article.encode())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("markup", MARKUP.values(), ids=MARKUP.keys())
def test_hostile_markup_gives_a_result_or_an_error(markup: str) -> None:
    """No HTML crashes annotate or takes long."""
    try:
        article = annotate(raw(ArticleIn(html=markup), "a"))
    except EmptyText as error:
        assert "readable" in str(error)
    else:
        json.loads(article.encode())


@pytest.mark.parametrize("text", ["", "   \n", "...", "١٢٣", "🙂🙂", "\u202e\u200f"])
def test_a_text_without_words_is_refused(text: str) -> None:
    """Without readable text there is an error and no empty article."""
    with pytest.raises(ValueError, match="text"):
        annotate(raw(ArticleIn(text=text), "a"))


def test_an_article_has_at_most_150_entities() -> None:
    """The most mentioned, of equal ones the first, in the order of the text; quotations name only those."""
    named = [f"Stranger{chr(97 + number // 26)}{chr(97 + number % 26)} Person" for number in range(400)]
    text = ". ".join(f"Yesterday the minister met Mr {name} in the town" for name in named)
    last = named[-1]
    text += f". Later Mr {last} spoke, and Mr {last} left."
    article = annotated(text)
    assert article is not None
    assert len(article.entities) == MAX_ENTITIES
    starts = [entity.mentions[0].start for entity in article.entities]
    assert starts == sorted(starts)
    assert any(entity.name.endswith(last) for entity in article.entities)
    assert sum(entity.name.endswith(tuple(named[:160])) for entity in article.entities) >= MAX_ENTITIES - 3
    ids = {entity.id for entity in article.entities}
    assert all(quote.speaker in ids for quote in article.quotes if quote.speaker)


@pytest.mark.parametrize("form", ["NFD", "NFKD"])
def test_decomposed_text_is_the_same_article(form: str) -> None:
    """Arabic with its letters decomposed has the same entities, topics and fingerprint: it is found as a duplicate."""
    text = (
        "زار الأمين العام للأمم المتحدة إيران وألمانيا وأوكرانيا. وقال أحمد أبو الغيط إن المؤتمر سيبحث أزمة الطاقة.\n"
        "وأضاف أن الانتخابات ستجرى يوم الأحد المقبل."
    )
    title = "الأمين العام يزور إيران"
    composed = annotate(raw(ArticleIn(text=text, title=title), "1", ARRIVAL))
    other = ArticleIn(text=unicodedata.normalize(form, text), title=unicodedata.normalize(form, title))
    decomposed = annotate(raw(other, "1", ARRIVAL))
    assert len(composed.entities) >= 4
    assert composed.topics
    assert decomposed == composed


@pytest.mark.parametrize(
    "given",
    ["1970-01-01T00:00:00Z", "1795-11-01T00:00:00Z", "2099-05-03T08:00:00Z", (ARRIVAL + timedelta(days=2)).isoformat()],
)
def test_the_date_of_a_broken_clock_counts_as_none(given: str) -> None:
    """A date before 1971 or more than a day after arrival is dropped; a date in the text is used in its place."""
    published = datetime.fromisoformat(given)
    undated = annotated("فتح المعرض أبوابه للزوار في صفاقس صباحا", published_at=published)
    dated = annotated("2026.11.05 | 09:30 تونس\n\nفتح المعرض أبوابه للزوار في صفاقس صباحا", published_at=published)
    assert undated is not None
    assert dated is not None
    assert (undated.published_at, undated.published_basis) == (None, None)
    assert (dated.published_at, dated.published_basis) == (datetime.fromisoformat("2026-11-05T09:30:00Z"), "text")


def test_a_date_of_the_next_day_is_kept() -> None:
    """Time zones are often wrong: a date up to a day after arrival counts."""
    published = ARRIVAL + timedelta(hours=20)
    article = annotated("فتح المعرض أبوابه للزوار في صفاقس صباحا", published_at=published)
    assert article is not None
    assert (article.published_at, article.published_basis) == (published, "given")


@pytest.mark.parametrize("body", [{"text": "\u200b \x00"}, {"text": "…"}, {"html": "<p><img src='x.jpg'></p>"}])
def test_a_headline_alone_is_an_article(body: dict[str, str]) -> None:
    """Where the body has no word, the headline is the text; without a headline there is no article."""
    article = annotate(raw(ArticleIn(title="زلزال يضرب ساحل تشيلي ولا ضحايا", **body), "a", ARRIVAL))
    assert article.text == article.title == "زلزال يضرب ساحل تشيلي ولا ضحايا"
    assert article.language == "ar"
    with pytest.raises(EmptyText):
        annotate(raw(ArticleIn(title="…", **body), "a", ARRIVAL))


def test_html_is_read_where_the_text_is_blank() -> None:
    """A text without a word does not hide the HTML beside it."""
    article = annotate(raw(ArticleIn(text="\u200b", html="<p>وصل الوفد إلى الرباط مساء اليوم.</p>"), "a", ARRIVAL))
    assert article.text == "وصل الوفد إلى الرباط مساء اليوم."


def test_a_counter_of_views_makes_no_revision() -> None:
    """The fingerprint changes with the news, also with its numbers, and not with what counts readers or links."""
    news = "بلغ عدد المصابين في الحريق 14 شخصا وفق الدفاع المدني."
    one = annotated(f"{news}\n\nعدد المشاهدات: 120\n\nاقرأ أيضا: أسواق اليوم")
    seen = annotated(f"{news}\n\nعدد المشاهدات: 135\n\nاقرأ أيضا: طقس الغد")
    corrected = annotated(f"{news.replace('14', '15')}\n\nعدد المشاهدات: 135\n\nاقرأ أيضا: طقس الغد")
    assert one is not None
    assert seen is not None
    assert corrected is not None
    assert one.fingerprint == seen.fingerprint != corrected.fingerprint
