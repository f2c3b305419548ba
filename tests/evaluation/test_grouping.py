"""Articles follow merges and splits as docs/reference/api.md describes, and near-duplicates are counted."""

from datetime import UTC, datetime

from enrich.annotate import annotate
from evaluation import duplicates
from evaluation.grouping import Grouped, Places, grouped
from evaluation.streams import Arrival, generated
from services.events import Article, ArticleIn, RawArticle, Story

AT = datetime(2026, 11, 6, tzinfo=UTC)


def article(article_id: str, story: str) -> Article:
    """An article as it is told."""
    return Article.model_construct(id=article_id, story=story)


def story(story_id: str, *articles: str, merged_into: str | None = None, split_from: str | None = None) -> Story:
    """A state of a story."""
    return Story.model_construct(
        id=story_id, articles=list(articles), merged_into=merged_into, split_from=split_from, size=len(articles)
    )


def told(*steps: tuple[Article, list[Story]]) -> Places:
    """Where articles are after these steps."""
    places = Places()
    for step in steps:
        places.follow(*step)
    return places


def test_a_merged_story_gives_away_all_its_articles() -> None:
    """Those that came long before are moved too, and those that came with the merge stay."""
    places = told(
        (article("1", "a"), [story("a", "1")]),
        (article("2", "a"), [story("a", "2", "1")]),
        (article("3", "b"), [story("b", "3")]),
        (article("4", "b"), [story("b", "4", "3", "2", "1"), story("a", merged_into="b")]),
    )
    assert places.story_of == dict.fromkeys("1234", "b")
    assert (places.merges, places.splits) == (1, 0)


def test_merges_are_followed_to_the_end() -> None:
    """What a was merged into is merged itself."""
    places = told(
        (article("1", "a"), [story("a", "1")]),
        (article("2", "b"), [story("b", "2"), story("a", merged_into="b")]),
        (article("3", "c"), [story("c", "3"), story("b", merged_into="c")]),
    )
    assert places.story_of == dict.fromkeys("123", "c")


def test_a_split_takes_what_it_lists() -> None:
    """More than fifty at once as well; the rest stays, and a later merge takes only what is there then."""
    many = [str(number) for number in range(80)]
    places = told(
        *((article(number, "a"), [story("a", number)]) for number in many),
        (article("x", "a"), [story("a", "x", *many[60:]), story("b", *many[:60], split_from="a")]),
        (article("y", "c"), [story("c", "y"), story("a", merged_into="c")]),
    )
    assert {places.story_of[number] for number in many[:60]} == {"b"}
    assert {places.story_of[number] for number in (*many[60:], "x", "y")} == {"c"}
    assert (places.merges, places.splits) == (1, 1)


def test_a_correction_may_be_elsewhere() -> None:
    """An article that is told anew is where it was told last."""
    assert told((article("1", "a"), []), (article("1", "b"), [])).story_of == {"1": "b"}


def arrival(article_id: str, kind: str, original: str | None = None, changed: float | None = 0.0) -> Arrival:
    """An article of a stream; what stands in it does not matter here."""
    raw = RawArticle(**ArticleIn(text=f"text {article_id}").model_dump(), id=article_id, received_at=AT)
    return Arrival(annotate(raw), "en", "s", kind, original, changed)


def test_reports_are_judged_by_family() -> None:
    """Naming another copy of the same original is right, though not exact; another family, a template and a
    correction are false; what was not reported is missed, each under its grade."""
    stream = [
        arrival("o", "original"),
        arrival("p", "original"),
        arrival("1", "repost", "o"),
        arrival("2", "edited", "o", 0.1),
        arrival("3", "edited", "o", 0.3),
        arrival("4", "excerpt", "o", 0.8),
        arrival("5", "headline", "p"),
        arrival("6", "template"),
        arrival("o", "correction", changed=0.05),
    ]
    reports = [None, None, "o", "1", None, "o", "o", "p", "1"]
    copies = [(report, 0.9) if report else None for report in reports]
    tally = duplicates.measure(stream, Grouped(copies, Places()))
    assert (tally.reported, tally.right, tally.first) == (6, 3, 2)
    assert tally.false == {"headline": 1, "template": 1, "correction": 1}
    assert [tally.recall(grade) for grade in duplicates.GRADES] == [2 / 3, 0.0, 1.0, None]
    assert duplicates.total([tally, tally]).found == {"light": 4, "excerpt": 2}


def test_a_generated_stream_is_measured() -> None:
    """Every article is in a story at the end, and plain reposts are found."""
    stream = generated(150, 4)
    result = grouped(one.annotated for one in stream)
    assert result.places.story_of.keys() == {one.annotated.id for one in stream}
    tally = duplicates.measure(stream, result)
    assert tally.articles.total() == len(result.copies) == 150
    assert tally.found["light"] > 0
