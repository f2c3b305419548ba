"""Near-duplicates and stories, without Kafka."""

import base64
import functools
import json
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
from evaluation import baselines, duplicates, labelled_streams, stories
from evaluation.grouping import grouped
from services.events import AnnotatedArticle, Article, ArticleIn
from tests.harness import ARRIVAL, arrivals, raw, seed_articles

WINDOW = timedelta(hours=72)
# Capacity of a grouper in these tests: a small one is created faster.
SMALL = 1_000
WORDS = ("نهر جسر مدينة قطار سوق مطر مدرسة طبيب كتاب حقل ميناء سفينة عيد مسرح لاعب ملعب قمر بحر جبل ثلج").split()


def text_of(seed: int, length: int = 120) -> str:
    """A different text for each seed."""
    return " ".join(random.Random(seed).choices(WORDS, k=length))


def annotated(article_id: str, text: str, *, arrived: float = 0, title: str | None = None) -> AnnotatedArticle:
    """An annotated article that arrived ``arrived`` hours after the first."""
    article = ArticleIn(text=text, title=title)
    return annotate(raw(article, article_id, ARRIVAL + timedelta(hours=arrived)), sequence=int(arrived * 1000))


def process(grouper: Grouper, article: AnnotatedArticle) -> Article:
    """The published article."""
    output = grouper.process(article)
    assert output is not None
    return output.article


@functools.cache
def seed_outputs() -> list[GroupOutput | None]:
    """The outputs of one grouper for the seeds."""
    grouper = Grouper(WINDOW, SMALL)
    return [grouper.process(article) for article in seeds_annotated()]


@functools.cache
def seeds_annotated() -> list[AnnotatedArticle]:
    """The seeds in order; a correction has the id of the article it corrects."""
    return [
        annotate(raw(article, f"{article.source}|{article.guid or number}", arrived), sequence=number)
        for number, (article, arrived) in enumerate(zip(seed_articles(), arrivals(), strict=False))
    ]


def test_near_duplicates_point_to_the_first_seen_article() -> None:
    """A near-duplicate of a near-duplicate points to the original as well, and all share its story."""
    grouper = Grouper(WINDOW, SMALL)
    first = process(grouper, annotated("a", text_of(1)))
    second = process(grouper, annotated("b", text_of(1) + " " + text_of(2, 10)))
    third = process(grouper, annotated("c", text_of(1) + " " + text_of(2, 20)))
    assert first.duplicate_of is None
    assert (second.duplicate_of, third.duplicate_of) == ("a", "a")
    assert first.story == second.story == third.story
    assert 0.45 <= second.similarity < 1


def test_a_repeated_article_is_published_once() -> None:
    """The same content with the same id has no second output."""
    grouper = Grouper(WINDOW, SMALL)
    assert grouper.process(annotated("a", text_of(1))) is not None
    assert grouper.process(annotated("a", text_of(1), arrived=1)) is None


def test_changed_content_is_the_next_revision_in_the_same_story() -> None:
    """A correction keeps id and story and has the next revision; the story does not grow by it."""
    grouper = Grouper(WINDOW, SMALL)
    first = process(grouper, annotated("a", text_of(1)))
    grouper.process(annotated("b", text_of(1) + " " + text_of(2, 5), arrived=1))
    output = grouper.process(annotated("a", text_of(1) + " تصحيح", arrived=2))
    second, story = output.article, output.stories[0]
    assert (second.revision, second.story, second.duplicate_of) == (2, first.story, None)
    assert story.size == 2
    assert story.articles == ["a", "b"]


def test_an_older_revision_that_is_delivered_again_changes_nothing() -> None:
    """Annotate delivers at least once: revision 1 after revision 2 does not become revision 3."""
    grouper = Grouper(WINDOW, SMALL)
    one, two = annotated("a", text_of(1)), annotated("a", text_of(2), arrived=1)
    assert grouper.process(one) is not None
    assert grouper.process(two) is not None
    assert grouper.process(one) is None
    assert grouper.process(two) is None


def test_two_revisions_of_one_push_keep_their_order() -> None:
    """Two lines of one request have the same arrival time; their offset on the log orders them."""
    grouper = Grouper(WINDOW, SMALL)
    one = annotated("a", text_of(1)).model_copy(update={"sequence": 7})
    two = annotated("a", text_of(2)).model_copy(update={"sequence": 8})
    assert [process(grouper, article).revision for article in (one, two)] == [1, 2]
    assert grouper.process(one) is None


def test_articles_older_than_the_window_are_evicted() -> None:
    """A near-duplicate of an article older than the window is an original, and memory is released."""
    grouper = Grouper(WINDOW, SMALL)
    grouper.process(annotated("a", text_of(1)))
    assert process(grouper, annotated("b", text_of(1), arrived=73)).duplicate_of is None
    assert len(grouper) == 1


def test_unrelated_articles_with_one_blurb_are_neither_near_duplicates_nor_a_story() -> None:
    """Shared boilerplate makes neither near-duplicates nor a story."""
    blurb = "اشترك في نشرتنا اليومية لتصلك أهم الأخبار والتحليلات كل صباح على بريدك الإلكتروني مجانا"
    grouper = Grouper(WINDOW, SMALL)
    articles = [
        process(grouper, annotated(str(number), f"{text} {blurb}"))
        for number, text in enumerate(
            [
                "افتتح المتحف الوطني في عمّان معرضا للخط العربي يضم مئتي لوحة لفنانين شباب من عشر دول " * 2,
                "سجلت محطات الرصد هزة خفيفة قرب الساحل دون أضرار وفق مركز الزلازل الذي دعا إلى الهدوء " * 2,
                "فاز الفريق الضيف بثلاثة أهداف في مباراة مثيرة حضرها جمهور كبير رغم الأمطار الغزيرة " * 2,
            ]
        )
    ]
    assert [article.duplicate_of for article in articles] == [None, None, None]
    assert len({article.story for article in articles}) == 3


def test_the_same_order_gives_the_same_outputs() -> None:
    """Promise 6: two runs over the same articles have equal outputs."""
    runs = [
        [Grouper.process(grouper, article) for article in seeds_annotated()]
        for grouper in (Grouper(WINDOW, SMALL), Grouper(WINDOW, SMALL))
    ]
    assert runs[0] == runs[1]


@given(borders=st.sets(st.integers(1, 91), max_size=8))
@settings(max_examples=25, deadline=None)
def test_where_batches_end_and_workers_change_makes_no_difference(borders: set[int]) -> None:
    """Promise 6: outputs are the same wherever batches end, also when a new worker takes over at each border."""
    articles = seeds_annotated()
    grouper = Grouper(WINDOW, SMALL)
    entries: list[bytes] = []
    for number, (article, expected) in enumerate(zip(articles, seed_outputs(), strict=True)):
        if number in borders:
            grouper = Grouper(WINDOW, SMALL)
            grouper.restore(entries)
        output = grouper.process(article)
        assert output == expected
        entries += [output.entry] if output else []


def vectored() -> list[AnnotatedArticle]:
    """150 articles with vectors and days of events, on ten subjects and every sixth a correction, over 30 hours."""
    rng = np.random.default_rng(5)
    subjects = rng.standard_normal((10, 256))
    dated = annotated("", "اجتمع الوزراء يوم الأحد في العاصمة لبحث ملفات التعاون").dates
    found = []
    for number in range(150):
        subject = number % 10
        meaning, event = (packed(2 * subjects[subject] + rng.standard_normal(256)) for _ in range(2))
        article = news(f"v{number - 10 * (number % 6 == 5)}", words(f"s{subject}-", 30, number % 7), number / 5)
        changes = {
            "fingerprint": f"{number:032x}",
            "shared": features.pack(dict.fromkeys((f"e:Q{subject}", f"e:Q{subject}{number % 3}"), 1.0)),
            "meaning": meaning,
            "event_title": event,
            "event_text": event,
            "dates": dated if number % 4 else [],
        }
        found.append(article.model_copy(update=changes))
    return found


@pytest.mark.parametrize("border", [0, 30, 49, 51, 75, 120, 149])
@pytest.mark.parametrize(("window", "capacity"), [(WINDOW, SMALL), (WINDOW, 70), (timedelta(hours=15), SMALL)])
def test_a_restored_centre_gives_the_same_stories(window: timedelta, capacity: int, border: int) -> None:
    """The mean of all vectors is the same after a restart, with articles evicted by number or age and revisions."""
    articles = vectored()
    running = Grouper(window, capacity)
    outputs = [running.process(article) for article in articles]
    assert len({output.article.story for output in outputs if output is not None}) > 5
    assert any(output.article.revision > 1 for output in outputs if output is not None)
    rebuilt = Grouper(window, capacity)
    rebuilt.restore(output.entry for output in outputs[: border + 1] if output is not None)
    assert [rebuilt.process(article) for article in articles[border + 1 :]] == outputs[border + 1 :]


def test_entries_of_older_releases_have_no_days() -> None:
    """What a release wrote that knew nothing of vectors and days is restored."""
    output = busy().process(news("a", words("a", 40)))
    start = output.entry.index(b'{"id"')
    rest = json.loads(output.entry[start:])
    for name in ("meaning", "event", "days"):
        del rest[name]
    rebuilt = Grouper(WINDOW, SMALL)
    rebuilt.restore([output.entry[:start] + json.dumps(rest).encode()])
    assert rebuilt.last_stories() == output.stories


def test_a_worker_that_takes_over_needs_only_the_entries_of_the_window() -> None:
    """Evicted articles leave no state that a new worker would lack, even if their stories are still open."""
    articles = seeds_annotated()
    window = (articles[-1].received_at - articles[0].received_at) / 4
    whole = Grouper(window, SMALL)
    outputs = [whole.process(article) for article in articles]
    assert len(whole) < len(articles) / 2
    for cut in range(10, len(articles), 7):
        latest = max(article.received_at for article in articles[:cut])
        kept = [
            output.entry
            for article, output in zip(articles[:cut], outputs, strict=False)
            if output is not None and article.received_at >= latest - window
        ]
        rebuilt = Grouper(window, SMALL)
        rebuilt.restore(kept)
        assert [rebuilt.process(article) for article in articles[cut:]] == outputs[cut:]


def test_a_worker_that_takes_over_knows_the_last_stories() -> None:
    """The stories of the last output can be rebuilt, to complete an output that was written partially."""
    entries: list[bytes] = []
    for output in seed_outputs():
        if output is not None:
            entries.append(output.entry)
            rebuilt = Grouper(WINDOW, SMALL)
            rebuilt.restore(entries)
            assert rebuilt.last_stories() == output.stories


def test_bytes_that_are_not_an_entry_are_rejected() -> None:
    """Foreign bytes among the entries raise ValueError instead of corrupting the state."""
    for foreign in (b"", b"{}", b"\x01", b"\x01" + bytes(2_000), b"\x02" + bytes(2_000)):
        with pytest.raises(ValueError):
            Grouper(WINDOW, SMALL).restore([foreign])


def news(article_id: str, words: Iterable[str], arrived: float = 0) -> AnnotatedArticle:
    """An article with these content words, a unique text and no vectors."""
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
            "meaning": None,
            "event_title": None,
            "event_text": None,
        }
    )


def busy(*, capacity: int = SMALL) -> Grouper:
    """A grouper with thirty articles about thirty other subjects."""
    grouper = Grouper(WINDOW, capacity)
    for number in range(30):
        grouper.process(news(f"other {number}", words(f"o{number}-", 40)))
    return grouper


def words(prefix: str, count: int, first: int = 0) -> list[str]:
    """``count`` words with a common prefix."""
    return [f"{prefix}{number}" for number in range(first, first + count)]


def test_stories_that_an_article_connects_are_merged() -> None:
    """The oldest story survives; the last event of the other one names it."""
    grouper = busy()
    common = words("c", 17)
    older = process(grouper, news("a", common + words("a", 23)))
    newer = process(grouper, news("b", common + words("b", 23)))
    assert older.story != newer.story
    output = grouper.process(news("tie", common + words("a", 11) + words("b", 11)))
    survivor, merged = output.stories
    assert output.article.story == survivor.id == older.story
    assert (merged.id, merged.merged_into, merged.articles, merged.title) == (newer.story, older.story, [], "b")
    assert (survivor.size, survivor.articles, survivor.merged_into) == (3, ["tie", "b", "a"], None)
    assert process(grouper, news("c", common + words("b", 23))).story == older.story


def test_a_story_lists_its_main_sources_and_counts_all() -> None:
    """Of 300 sources with long names the 50 with the most articles, of equal ones the first; the record stays small."""
    grouper = busy()
    copied = news("n", words("c", 40))
    order = [*range(300), 200, 250]
    for place, number in enumerate(order):
        changes = {"id": f"n{place}", "fingerprint": f"{place:032x}", "source": f"{number:03}" + "𠀀" * 197}
        output = grouper.process(copied.model_copy(update=changes))
    (story,) = output.stories
    assert (story.size, story.source_count) == (302, 300)
    assert [int(source[:3]) for source in story.sources] == [*range(48), 200, 250]
    assert len(story.encode()) < 64_000


def test_a_story_that_drifted_is_split() -> None:
    """When the second half of a story has little in common with the first, it becomes a new story with split_from."""
    grouper = busy()
    outputs = [grouper.process(news(f"a{number}", words("a", 40, 10 * number))) for number in range(8)]
    assert len({output.article.story for output in outputs[:-1]}) == 1, "each is similar to the one before"
    new, old = outputs[-1].stories
    assert new.split_from == old.id == outputs[0].article.story
    assert outputs[-1].article.story == new.id
    assert (set(new.articles), set(old.articles)) == ({"a4", "a5", "a6", "a7"}, {"a0", "a1", "a2", "a3"})
    assert (new.size, old.size) == (4, 4)
    rebuilt = Grouper(WINDOW, SMALL)
    rebuilt.restore(output.entry for output in outputs)
    assert rebuilt.last_stories() == outputs[-1].stories
    for taking_over in (grouper, rebuilt):
        story = taking_over.process(news("a8", words("a", 40, 70))).stories[0]
        assert (story.id, story.split_from, story.size) == (new.id, None, 5)


def packed(vector: np.ndarray) -> str:
    """A vector of any length as annotate writes it."""
    return base64.b64encode(embedding.pack((vector / np.linalg.norm(vector)).astype(np.float32)).tobytes()).decode()


def test_vectors_join_articles_across_languages() -> None:
    """Articles in two languages with few common features are one story when their vectors are similar."""
    one, other = np.random.default_rng(1).standard_normal((2, 256))
    meaning = {name: packed(vector) for name, vector in {"one": one, "near": one + 0.3 * other, "other": other}.items()}
    english = {"language": "en", "terms": features.pack({"t:en:bridge": 1.0})}
    named = [features.pack({"e:Q1": 1.0} | {f"e:Q{first}{at}": 1.0 for at in range(4)}) for first in (2, 3)]

    def stories(*meanings: str | None) -> list[str]:
        grouper, entries, found = busy(), [], []
        for number, name in enumerate(meanings):
            own = {"meaning": meaning[name] if name else None, "shared": named[number]}
            article = news(f"v{number}", words("v", 40)).model_copy(update=own | (english if number else {}))
            output = grouper.process(article)
            entries.append(output.entry)
            found.append(output.article.story)
            grouper = busy()
            grouper.restore(entries)  # the next worker has the article's vector
        return found

    assert len(set(stories("one", "near"))) == 1
    assert len(set(stories("one", "other"))) == 2
    assert len(set(stories("one", None))) == 2


def test_what_happened_tells_events_with_the_same_people_apart() -> None:
    """The same words and names are two stories when neither text says what the other's title says."""
    strike, order = np.random.default_rng(2).standard_normal((2, 256))

    def article(article_id: str, event: np.ndarray) -> AnnotatedArticle:
        parts = {"event_title": packed(event), "event_text": packed(event)}
        return news(article_id, words("a", 40)).model_copy(update=parts)

    grouper = busy()
    first = process(grouper, article("a", strike))
    assert process(grouper, article("b", strike)).story == first.story
    assert process(grouper, article("c", order)).story != first.story


def test_what_all_news_has_in_common_makes_no_story() -> None:
    """Once many articles are in the window, vectors count by what distinguishes them from the mean."""
    rng = np.random.default_rng(3)
    topic = 2.0 * rng.standard_normal(256)
    grouper = Grouper(WINDOW, SMALL)
    found = []
    for number in range(80):
        meaning = packed(topic + rng.standard_normal(256))
        update = {"meaning": meaning}
        found.append(process(grouper, news(f"n{number}", words(f"w{number}-", 40)).model_copy(update=update)).story)
    assert len(set(found[60:])) == 20


def test_texts_are_one_story_only_when_both_meaning_and_names_are_alike() -> None:
    """Long articles on one topic are alike in meaning, and other news of the same people has the same names."""
    rng = np.random.default_rng(4)
    flood, visit = rng.standard_normal((2, 256))
    event = packed(rng.standard_normal(256))
    names = {people: [f"e:Q{people}{at}" for at in range(6)] for people in (1, 2)}

    def article(article_id: str, meaning: np.ndarray, people: int) -> AnnotatedArticle:
        own = {"meaning": packed(meaning), "event_title": event, "event_text": event}
        shared = features.pack(dict.fromkeys(names[people], 1.0))
        return news(article_id, words(article_id, 40)).model_copy(update=own | {"shared": shared})

    grouper = busy()
    first = process(grouper, article("a", flood, 1)).story
    assert process(grouper, article("b", flood + 0.2 * visit, 1)).story == first
    assert process(grouper, article("c", flood + 0.2 * visit, 2)).story != first
    assert process(grouper, article("d", visit, 1)).story != first


def call(weekday: str, source: str, *, body: str) -> AnnotatedArticle:
    """A report, without a date, of a telephone call of two presidents."""
    text = f"تحدث الرئيس الفرنسي إيمانويل ماكرون هاتفيا مع نظيره الروسي فلاديمير بوتين يوم {weekday} {body}"
    article = ArticleIn(title="ماكرون وبوتين يبحثان هاتفيا الوضع في أوكرانيا", text=text, source=source)
    return annotate(raw(article, f"{weekday}{source}", ARRIVAL))


GRAIN = "وبحث الرئيسان ملف تصدير الحبوب عبر موانئ البحر الأسود، واستمرت المكالمة ساعتين بحسب قصر الإليزيه في باريس."
PLANT = "وناقش الطرفان وضع محطة زابوريجيا النووية، ودعا ماكرون إلى وقف فوري لإطلاق النار وفق بيان للكرملين في موسكو."


CAPTIVES = "وتطرق الحديث إلى تبادل الأسرى بين الجانبين وفتح ممرات آمنة للمدنيين من مدينة ماريوبول الساحلية."


def test_calls_of_the_same_presidents_on_different_days_are_different_stories() -> None:
    """Of articles without dates the weekdays decide; two reports of one call are one story."""
    grouper = busy()
    found = [
        process(grouper, call(weekday, source, body=body)).story
        for weekday, source, body in (
            ("الخميس", "a", GRAIN),
            ("الخميس", "b", f"{GRAIN[:60]} وقالت مصادر دبلوماسية إن الحديث كان صريحا ومفيدا للجانبين."),
            ("الاثنين", "c", PLANT),
            ("السبت", "d", CAPTIVES),
        )
    ]
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_days_of_events_that_contradict_make_articles_less_alike() -> None:
    """What is one story on the same day is two on days far apart, but a report that mentions both days joins."""

    def article(article_id: str, *weekdays: str) -> AnnotatedArticle:
        beginning = "اجتمع الوزراء " + " ".join(f"يوم {weekday}" for weekday in weekdays)
        dates = annotated("", f"{beginning} في العاصمة لبحث ملفات التعاون بين البلدين").dates
        assert len(dates) == len(weekdays)
        return news(article_id, [*words("c", 22), *words(article_id, 18)]).model_copy(update={"dates": dates})

    for weekdays, together in ((["الأحد"], True), (["الأربعاء"], False), (["الأربعاء", "الأحد"], True), ([], True)):
        grouper = busy()
        first = process(grouper, article("a", "الأحد")).story
        assert (process(grouper, article("b", *weekdays)).story == first) is together


def test_a_story_says_when_its_event_was() -> None:
    """The day that most articles mention first, else that of publication; also after a restart."""
    grouper = busy()
    first = annotated("a", "التقى الوزيران في القاهرة يوم 22 تشرين الثاني 2026 وبحثا ملف السد وسبل استئناف المفاوضات")
    output = grouper.process(first)
    assert (str(output.stories[0].event_date), output.stories[0].event_basis) == ("2026-11-22", "text")
    rebuilt = Grouper(WINDOW, SMALL)
    rebuilt.restore([output.entry])
    assert rebuilt.last_stories() == output.stories
    (undated,) = grouper.process(news("b", words("b", 40))).stories
    assert (undated.event_date, undated.event_basis) == (undated.first_published.date(), "published")


def test_the_longer_ago_the_less_alike() -> None:
    """What is just alike enough on one day is not two days later."""
    common = words("c", 19)
    for hours, together in ((1, True), (50, False)):
        grouper = busy()
        first = process(grouper, news("a", common + words("a", 21)))
        later = news("b", common + words("b", 21), arrived=hours)
        assert (process(grouper, later).story == first.story) is together


def test_a_story_has_the_title_of_its_most_central_article() -> None:
    """A story's title is not that of its first article, but of the one most similar to the others."""
    grouper = busy()
    grouper.process(news("a flash", words("x", 24) + words("c", 16)))
    grouper.process(news("the whole", words("c", 40)))
    output = grouper.process(news("a comment", words("c", 24, 16) + words("y", 16)))
    assert output.stories[0].title == "the whole"


def test_a_story_outlives_its_first_articles() -> None:
    """Size and first date cover the whole life of a story, its articles only those within the window."""
    grouper = busy()
    first = process(grouper, news("a", words("a", 40)))
    grouper.process(news("b", words("a", 40), arrived=60))
    story = grouper.process(news("c", words("a", 40), arrived=120)).stories[0]
    assert (story.id, story.size, story.articles) == (first.story, 3, ["c", "b"])
    assert story.first_published == ARRIVAL


def test_old_news_does_not_join_a_new_story() -> None:
    """Similar articles that were published more than a window apart are two stories."""
    grouper = busy()
    first = process(grouper, news("a", words("a", 40)))
    later = news("b", words("a", 40), arrived=1).model_copy(update={"published_at": ARRIVAL - timedelta(hours=100)})
    assert process(grouper, later).story != first.story


def test_memory_is_bounded() -> None:
    """When the ring is full the oldest article is evicted before it expires, and processing continues."""
    grouper = Grouper(WINDOW, 50)
    for number in range(200):
        grouper.process(news(f"n{number}", words(f"n{number % 60}-", 40)))
        assert len(grouper) <= 50
    assert grouper.process(news("n199", words("n19-", 40))) is None
    assert process(grouper, news("n100", words("n40-", 40))).revision == 1


def test_seed_near_duplicates_are_found() -> None:
    """On seeds/: every near-duplicate points to the article that it was made from, and no other article does."""
    run = labelled_streams.seeds()
    tally = duplicates.measure(run, grouped(arrival.annotated for arrival in run))
    assert (tally.precision, tally.recall("copy"), tally.first_seen) == (1.0, 1.0, 1.0)


def test_seed_stories_have_the_required_quality() -> None:
    """On seeds/: BCubed F1 of at least 0.93 overall and 0.82 across languages, and better than each baseline."""
    run = labelled_streams.seeds()
    ours = stories.ours([run], [grouped(arrival.annotated for arrival in run)]).figures
    assert ours["all"]["f1"] >= 0.93
    assert ours["across"]["f1"] >= 0.82
    for features_of in (baselines.words, baselines.entities):
        assert stories.baseline([run], features_of).figures["all"]["f1"] < ours["all"]["f1"]


def dated(article: AnnotatedArticle, published: timedelta) -> AnnotatedArticle:
    """The article as if it had been published so long after the first arrival, by a reader that checks no date."""
    return article.model_copy(update={"published_at": ARRIVAL + published, "published_basis": "given"})


@pytest.mark.parametrize("days", [-365 * 200, -365 * 56, 365 * 70])
def test_a_broken_clock_sets_no_time_of_a_story(days: int) -> None:
    """Of older records too: a date that cannot be true is neither the article's nor its story's."""
    grouper = Grouper(WINDOW, SMALL)
    grouper.process(dated(annotated("a", text_of(1)), timedelta(hours=-1)))
    output = grouper.process(dated(annotated("b", text_of(1), arrived=1), timedelta(days=days)))
    assert output.article.duplicate_of == "a"
    assert (output.article.published_at, output.article.published_basis) == (None, None)
    story = output.stories[0]
    assert (story.first_published, story.last_published) == (
        ARRIVAL - timedelta(hours=1),
        ARRIVAL + timedelta(hours=1),
    )


@pytest.mark.parametrize("wrong_first", [False, True])
def test_a_wrong_year_of_a_copy_sets_no_time_of_a_story(wrong_first: bool) -> None:
    """A copy dated a year before the other articles does not make the story a year old, in whatever order they come."""
    grouper = Grouper(WINDOW, SMALL)
    right, wrong = timedelta(hours=-1), timedelta(days=-365)
    one, two = (wrong, right) if wrong_first else (right, wrong)
    grouper.process(dated(annotated("a", text_of(1)), one))
    story = grouper.process(dated(annotated("b", text_of(1), arrived=1), two)).stories[0]
    assert (story.size, story.first_published, story.last_published) == (2, ARRIVAL + right, ARRIVAL + right)
