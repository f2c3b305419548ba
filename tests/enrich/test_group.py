"""Copies and stories, without Kafka."""

import base64
import functools
import random
from collections.abc import Iterable
from datetime import timedelta
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrich.annotate import annotate
from enrich.fingerprint import embedding, features, signature
from enrich.group.grouper import Grouper, GroupOutput
from evaluation import baselines, duplicates, stories, streams
from evaluation.grouping import grouped
from services.events import AnnotatedArticle, Article, ArticleIn
from tests.harness import ARRIVAL, arrivals, raw, seed_articles

WINDOW = timedelta(hours=72)
# Articles that a grouper of these tests has room for: memory that is not asked for need not be cleared.
SMALL = 1_000
WORDS = ("نهر جسر مدينة قطار سوق مطر مدرسة طبيب كتاب حقل ميناء سفينة عيد مسرح لاعب ملعب قمر بحر جبل ثلج").split()


def text_of(seed: int, length: int = 120) -> str:
    """A text of its own for each seed."""
    return " ".join(random.Random(seed).choices(WORDS, k=length))


def annotated(article_id: str, text: str, *, arrived: float = 0, title: str | None = None) -> AnnotatedArticle:
    """An annotated article that arrived so many hours after the first."""
    article = ArticleIn(text=text, title=title)
    return annotate(raw(article, article_id, ARRIVAL + timedelta(hours=arrived)), sequence=int(arrived * 1000))


def process(grouper: Grouper, article: AnnotatedArticle) -> Article:
    """The published article."""
    told = grouper.process(article)
    assert told is not None
    return told.article


@functools.cache
def seeds_told() -> list[GroupOutput | None]:
    """What one grouper tells of the seeds."""
    grouper = Grouper(WINDOW, SMALL)
    return [grouper.process(article) for article in seeds_annotated()]


@functools.cache
def seeds_annotated() -> list[AnnotatedArticle]:
    """The seeds in order; a correction has the id of what it corrects."""
    return [
        annotate(raw(article, f"{article.source}|{article.guid or number}", arrived), sequence=number)
        for number, (article, arrived) in enumerate(zip(seed_articles(), arrivals(), strict=False))
    ]


def test_a_copy_points_to_the_first_seen_and_a_copy_of_the_copy_too() -> None:
    """Chains end at the original, and copies share its story."""
    grouper = Grouper(WINDOW, SMALL)
    first = process(grouper, annotated("a", text_of(1)))
    second = process(grouper, annotated("b", text_of(1) + " " + text_of(2, 10)))
    third = process(grouper, annotated("c", text_of(1) + " " + text_of(2, 20)))
    assert first.duplicate_of is None
    assert (second.duplicate_of, third.duplicate_of) == ("a", "a")
    assert first.story == second.story == third.story
    assert 0.45 <= second.similarity < 1


def test_the_same_article_again_is_told_once() -> None:
    """What was accepted twice is one article."""
    grouper = Grouper(WINDOW, SMALL)
    assert grouper.process(annotated("a", text_of(1))) is not None
    assert grouper.process(annotated("a", text_of(1), arrived=1)) is None


def test_changed_content_is_the_next_revision_in_the_same_story() -> None:
    """A correction keeps id and story, counts up, and is no copy of itself; the story does not grow by it."""
    grouper = Grouper(WINDOW, SMALL)
    first = process(grouper, annotated("a", text_of(1)))
    grouper.process(annotated("b", text_of(1) + " " + text_of(2, 5), arrived=1))
    told = grouper.process(annotated("a", text_of(1) + " تصحيح", arrived=2))
    second, story = told.article, told.stories[0]
    assert (second.revision, second.story, second.duplicate_of) == (2, first.story, None)
    assert story.size == 2
    assert story.articles == ["a", "b"]


def test_an_older_revision_that_comes_again_changes_nothing() -> None:
    """Annotate delivers at least once: revision 1 after revision 2 is no revision 3."""
    grouper = Grouper(WINDOW, SMALL)
    one, two = annotated("a", text_of(1)), annotated("a", text_of(2), arrived=1)
    assert grouper.process(one) is not None
    assert grouper.process(two) is not None
    assert grouper.process(one) is None
    assert grouper.process(two) is None


def test_two_revisions_of_one_push_keep_their_order() -> None:
    """Arrival time alone does not tell two lines of one request apart; their place on the log does."""
    grouper = Grouper(WINDOW, SMALL)
    one = annotated("a", text_of(1)).model_copy(update={"sequence": 7})
    two = annotated("a", text_of(2)).model_copy(update={"sequence": 8})
    assert [process(grouper, article).revision for article in (one, two)] == [1, 2]
    assert grouper.process(one) is None


def test_what_left_the_window_is_forgotten() -> None:
    """A copy of something older than the window is an original, and memory is given back."""
    grouper = Grouper(WINDOW, SMALL)
    grouper.process(annotated("a", text_of(1)))
    assert process(grouper, annotated("b", text_of(1), arrived=73)).duplicate_of is None
    assert len(grouper) == 1


def test_unrelated_articles_with_one_blurb_are_neither_copies_nor_a_story() -> None:
    """Shared boilerplate does not bring articles together."""
    blurb = "اشترك في نشرتنا اليومية لتصلك أهم الأخبار والتحليلات كل صباح على بريدك الإلكتروني مجانا"
    grouper = Grouper(WINDOW, SMALL)
    told = [
        process(grouper, annotated(str(number), f"{text} {blurb}"))
        for number, text in enumerate(
            [
                "افتتح المتحف الوطني في عمّان معرضا للخط العربي يضم مئتي لوحة لفنانين شباب من عشر دول " * 2,
                "سجلت محطات الرصد هزة خفيفة قرب الساحل دون أضرار وفق مركز الزلازل الذي دعا إلى الهدوء " * 2,
                "فاز الفريق الضيف بثلاثة أهداف في مباراة مثيرة حضرها جمهور كبير رغم الأمطار الغزيرة " * 2,
            ]
        )
    ]
    assert [article.duplicate_of for article in told] == [None, None, None]
    assert len({article.story for article in told}) == 3


def test_same_order_same_answers() -> None:
    """Promise 6: two runs over the same articles agree on everything."""
    runs = [
        [Grouper.process(grouper, article) for article in seeds_annotated()]
        for grouper in (Grouper(WINDOW, SMALL), Grouper(WINDOW, SMALL))
    ]
    assert runs[0] == runs[1]


@given(borders=st.sets(st.integers(1, 91), max_size=8))
@settings(max_examples=25, deadline=None)
def test_where_batches_end_and_workers_change_makes_no_difference(borders: set[int]) -> None:
    """Promise 6: wherever batches end, and though a new worker takes over at each border, the answers are the same."""
    articles = seeds_annotated()
    grouper = Grouper(WINDOW, SMALL)
    entries: list[bytes] = []
    for number, (article, expected) in enumerate(zip(articles, seeds_told(), strict=True)):
        if number in borders:
            grouper = Grouper(WINDOW, SMALL)
            grouper.restore(entries)
        told = grouper.process(article)
        assert told == expected
        entries += [told.entry] if told else []


def test_a_worker_that_takes_over_needs_the_entries_of_the_window_alone() -> None:
    """What has left the window has left no trace that a new worker would lack, though stories go on without it."""
    articles = seeds_annotated()
    window = (articles[-1].received_at - articles[0].received_at) / 4
    whole = Grouper(window, SMALL)
    told = [whole.process(article) for article in articles]
    assert len(whole) < len(articles) / 2
    for cut in range(10, len(articles), 7):
        latest = max(article.received_at for article in articles[:cut])
        kept = [
            answer.entry
            for article, answer in zip(articles[:cut], told, strict=False)
            if answer is not None and article.received_at >= latest - window
        ]
        rebuilt = Grouper(window, SMALL)
        rebuilt.restore(kept)
        assert [rebuilt.process(article) for article in articles[cut:]] == told[cut:]


def test_a_worker_that_takes_over_can_tell_the_last_stories_again() -> None:
    """One that ended between an article and its stories leaves a debt that only the state can pay."""
    entries: list[bytes] = []
    for told in seeds_told():
        if told is not None:
            entries.append(told.entry)
            rebuilt = Grouper(WINDOW, SMALL)
            rebuilt.restore(entries)
            assert rebuilt.told_last() == told.stories


def test_what_is_no_entry_is_refused() -> None:
    """Foreign bytes among the entries are an error that says so, not a state that is wrong."""
    for foreign in (b"", b"{}", b"\x01", b"\x01" + bytes(2_000), b"\x02" + bytes(2_000)):
        with pytest.raises(ValueError):
            Grouper(WINDOW, SMALL).restore([foreign])


def news(article_id: str, words: Iterable[str], arrived: float = 0) -> AnnotatedArticle:
    """An article with these content words, whose text is its own."""
    signed = signature.sign([f"{article_id}{number}" for number in range(60)])
    plain = annotated("", "نص قصير للتجربة")
    return plain.model_copy(
        update={
            "id": article_id,
            "title": article_id,
            "received_at": ARRIVAL + timedelta(hours=arrived),
            "fingerprint": f"{crc32(article_id.encode()):032x}",
            "shared": features.pack({}),
            "terms": features.pack({f"t:ar:{word}": 1.0 for word in words}),
            "signature": signature.pack(signed.minhash),
            "sketch": signature.pack(signed.sketch),
            "shingles": signed.shingles,
        }
    )


def busy(*, capacity: int = SMALL) -> Grouper:
    """A grouper that has seen thirty articles about thirty other things."""
    grouper = Grouper(WINDOW, capacity)
    for number in range(30):
        grouper.process(news(f"other {number}", words(f"o{number}-", 40)))
    return grouper


def words(prefix: str, count: int, first: int = 0) -> list[str]:
    """So many words of one kind."""
    return [f"{prefix}{number}" for number in range(first, first + count)]


def test_stories_that_turn_out_to_be_one_are_merged() -> None:
    """Stories that an article ties together go on as the oldest; the last event of another says where it went."""
    grouper = busy()
    common = words("c", 17)
    older = process(grouper, news("a", common + words("a", 23)))
    newer = process(grouper, news("b", common + words("b", 23)))
    assert older.story != newer.story
    told = grouper.process(news("tie", common + words("a", 11) + words("b", 11)))
    survivor, merged = told.stories
    assert told.article.story == survivor.id == older.story
    assert (merged.id, merged.merged_into, merged.articles, merged.title) == (newer.story, older.story, [], "b")
    assert (survivor.size, survivor.articles, survivor.merged_into) == (3, ["tie", "b", "a"], None)
    assert process(grouper, news("c", common + words("b", 23))).story == older.story


def test_a_story_that_drifted_into_another_falls_apart() -> None:
    """When the second half of a story has little of the first, it becomes a story that says what it left."""
    grouper = busy()
    told = [grouper.process(news(f"a{number}", words("a", 40, 10 * number))) for number in range(8)]
    assert len({answer.article.story for answer in told[:-1]}) == 1, "each is like the one before"
    new, old = told[-1].stories
    assert new.split_from == old.id == told[0].article.story
    assert told[-1].article.story == new.id
    assert (set(new.articles), set(old.articles)) == ({"a4", "a5", "a6", "a7"}, {"a0", "a1", "a2", "a3"})
    assert (new.size, old.size) == (4, 4)
    rebuilt = Grouper(WINDOW, SMALL)
    rebuilt.restore(answer.entry for answer in told)
    assert rebuilt.told_last() == told[-1].stories
    for taking_over in (grouper, rebuilt):
        story = taking_over.process(news("a8", words("a", 40, 70))).stories[0]
        assert (story.id, story.split_from, story.size) == (new.id, None, 5)


def test_sentence_vectors_bring_languages_together() -> None:
    """Articles that have little in common in another language are one story when they mean the same."""
    one, other = np.random.default_rng(1).standard_normal((2, 512))
    near = one + 0.3 * other
    meaning = {
        name: base64.b64encode(embedding.pack((vector / np.linalg.norm(vector)).astype(np.float32)).tobytes()).decode()
        for name, vector in {"one": one, "near": near, "other": other}.items()
    }
    english = {"language": "en", "terms": features.pack({"t:en:bridge": 1.0})}
    named = [features.pack({"e:Q1": 1.0} | {f"e:Q{first}{at}": 1.0 for at in range(4)}) for first in (2, 3)]

    def stories(*meanings: str | None) -> list[str]:
        grouper, entries, found = busy(), [], []
        for number, name in enumerate(meanings):
            own = {"vector": meaning[name] if name else None, "shared": named[number]}
            article = news(f"v{number}", words("v", 40)).model_copy(update=own | (english if number else {}))
            told = grouper.process(article)
            entries.append(told.entry)
            found.append(told.article.story)
            grouper = busy()
            grouper.restore(entries)  # the next worker knows what the article meant
        return found

    assert len(set(stories("one", "near"))) == 1
    assert len(set(stories("one", "other"))) == 2
    assert len(set(stories("one", None))) == 2


def test_a_story_has_the_title_of_its_most_central_article() -> None:
    """The first report of a story is often not the one that says best what it is about."""
    grouper = busy()
    grouper.process(news("a flash", words("x", 24) + words("c", 16)))
    grouper.process(news("the whole", words("c", 40)))
    told = grouper.process(news("a comment", words("c", 24, 16) + words("y", 16)))
    assert told.stories[0].title == "the whole"


def test_a_story_outlives_its_first_articles() -> None:
    """Size and first date are of the whole life of a story, the rest of its articles within the window."""
    grouper = busy()
    first = process(grouper, news("a", words("a", 40)))
    grouper.process(news("b", words("a", 40), arrived=60))
    story = grouper.process(news("c", words("a", 40), arrived=120)).stories[0]
    assert (story.id, story.size, story.articles) == (first.story, 3, ["c", "b"])
    assert story.first_published == ARRIVAL


def test_old_news_do_not_join_what_is_new() -> None:
    """Alike but published more than a window apart: last week's match is another match."""
    grouper = busy()
    first = process(grouper, news("a", words("a", 40)))
    later = news("b", words("a", 40), arrived=1).model_copy(update={"published_at": ARRIVAL - timedelta(hours=100)})
    assert process(grouper, later).story != first.story


def test_memory_is_bounded_whatever_comes() -> None:
    """When the ring is full the oldest leaves although its time has not come, and all goes on."""
    grouper = Grouper(WINDOW, 50)
    for number in range(200):
        grouper.process(news(f"n{number}", words(f"n{number % 60}-", 40)))
        assert len(grouper) <= 50
    assert grouper.process(news("n199", words("n19-", 40))) is None
    assert process(grouper, news("n100", words("n40-", 40))).revision == 1


def test_seed_copies_are_found() -> None:
    """On seeds/: every copy is told as one, of the article that it was made from, and nothing else is."""
    run = streams.seeds()
    tally = duplicates.measure(run, grouped(arrival.annotated for arrival in run))
    assert (tally.precision, tally.recall("copy"), tally.first_seen) == (1.0, 1.0, 1.0)


def test_seed_stories_are_told_apart_and_meet_across_languages() -> None:
    """On seeds/: BCubed F1 of 0.93 and more over all, of 0.82 and more across languages; better than each baseline."""
    run = streams.seeds()
    ours = stories.ours([run], [grouped(arrival.annotated for arrival in run)]).figures
    assert ours["all"]["f1"] >= 0.93
    assert ours["across"]["f1"] >= 0.82
    for features_of in (baselines.words, baselines.entities):
        assert stories.baseline([run], features_of).figures["all"]["f1"] < ours["all"]["f1"]
