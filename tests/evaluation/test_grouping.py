"""Articles follow merges and splits as docs/reference/api.md describes, and near-duplicates are counted."""

from datetime import UTC, datetime

from enrich.annotate import annotate
from evaluation import duplicates
from evaluation.grouping import Grouped, StoryMembership, grouped
from evaluation.labelled_streams import Arrival, generated
from services.events import Article, ArticleIn, RawArticle, Story

AT = datetime(2026, 11, 6, tzinfo=UTC)


def article(article_id: str, story: str) -> Article:
    """An article as it is published."""
    return Article.model_construct(id=article_id, story=story)


def story(story_id: str, *articles: str, merged_into: str | None = None, split_from: str | None = None) -> Story:
    """A state of a story."""
    return Story.model_construct(
        id=story_id, articles=list(articles), merged_into=merged_into, split_from=split_from, size=len(articles)
    )


def after(*steps: tuple[Article, list[Story]]) -> StoryMembership:
    """The membership after these outputs of group."""
    membership = StoryMembership()
    for step in steps:
        membership.follow(*step)
    return membership


def test_a_merge_moves_all_articles() -> None:
    """Articles from long before the merge are moved too; articles of the surviving story stay."""
    membership = after(
        (article("1", "a"), [story("a", "1")]),
        (article("2", "a"), [story("a", "2", "1")]),
        (article("3", "b"), [story("b", "3")]),
        (article("4", "b"), [story("b", "4", "3", "2", "1"), story("a", merged_into="b")]),
    )
    assert membership.story_of == dict.fromkeys("1234", "b")
    assert (membership.merges, membership.splits) == (1, 0)


def test_merges_are_followed_transitively() -> None:
    """The story that another one was merged into is merged itself."""
    membership = after(
        (article("1", "a"), [story("a", "1")]),
        (article("2", "b"), [story("b", "2"), story("a", merged_into="b")]),
        (article("3", "c"), [story("c", "3"), story("b", merged_into="c")]),
    )
    assert membership.story_of == dict.fromkeys("123", "c")


def test_a_split_moves_the_listed_articles() -> None:
    """Also more than fifty at once; the others stay, and a later merge moves only those that are still there."""
    many = [str(number) for number in range(80)]
    membership = after(
        *((article(number, "a"), [story("a", number)]) for number in many),
        (article("x", "a"), [story("a", "x", *many[60:]), story("b", *many[:60], split_from="a")]),
        (article("y", "c"), [story("c", "y"), story("a", merged_into="c")]),
    )
    assert {membership.story_of[number] for number in many[:60]} == {"b"}
    assert {membership.story_of[number] for number in (*many[60:], "x", "y")} == {"c"}
    assert (membership.merges, membership.splits) == (1, 1)


def test_a_correction_can_move_an_article() -> None:
    """An article that is published again is in the story of its last event."""
    assert after((article("1", "a"), []), (article("1", "b"), [])).story_of == {"1": "b"}


def arrival(article_id: str, kind: str, original: str | None = None, changed: float | None = 0.0) -> Arrival:
    """An article of a stream; its text does not matter here."""
    raw = RawArticle(**ArticleIn(text=f"text {article_id}").model_dump(), id=article_id, received_at=AT)
    return Arrival(annotate(raw), "en", "s", kind, original, changed)


def test_reports_are_evaluated_by_family() -> None:
    """Naming another near-duplicate of the same original is correct; naming another family, and reporting a template or
    a correction, is false; each near-duplicate that is not reported is missed, under its grade."""
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
    originals = [None, None, "o", "1", None, "o", "o", "p", "1"]
    reports = [(original, 0.9) if original else None for original in originals]
    tally = duplicates.measure(stream, Grouped(reports, StoryMembership()))
    assert (tally.reported, tally.correct, tally.first) == (6, 3, 2)
    assert tally.false == {"headline": 1, "template": 1, "correction": 1}
    assert [tally.recall(grade) for grade in duplicates.GRADES] == [2 / 3, 0.0, 1.0, None]
    assert duplicates.total([tally, tally]).found == {"light": 4, "excerpt": 2}


def test_a_generated_stream_is_measured() -> None:
    """Each article is in a story at the end, and plain reposts are found."""
    stream = generated(150, 4)
    result = grouped(one.annotated for one in stream)
    assert result.membership.story_of.keys() == {one.annotated.id for one in stream}
    tally = duplicates.measure(stream, result)
    assert tally.articles.total() == len(result.reports) == 150
    assert tally.found["light"] > 0
