"""Copies and stories, without Kafka."""

import random
from datetime import timedelta

from enrich.annotate import annotate
from enrich.group import Grouper, entry_of
from services.events import AnnotatedArticle, Article, ArticleIn
from tests.harness import ARRIVAL, arrivals, raw, seed_articles, seed_labels

WINDOW = timedelta(hours=72)
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
    return told[0]


def seeds_annotated() -> list[AnnotatedArticle]:
    """The seeds in order; a correction has the id of what it corrects."""
    return [
        annotate(raw(article, f"{article.source}|{article.guid or number}", arrived), sequence=number)
        for number, (article, arrived) in enumerate(zip(seed_articles(), arrivals(), strict=False))
    ]


def test_a_copy_points_to_the_first_seen_and_a_copy_of_the_copy_too() -> None:
    """Chains end at the original, and copies share its story."""
    grouper = Grouper(WINDOW)
    first = process(grouper, annotated("a", text_of(1)))
    second = process(grouper, annotated("b", text_of(1) + " " + text_of(2, 10)))
    third = process(grouper, annotated("c", text_of(1) + " " + text_of(2, 20)))
    assert first.duplicate_of is None
    assert (second.duplicate_of, third.duplicate_of) == ("a", "a")
    assert first.story == second.story == third.story
    assert 0.45 <= second.similarity < 1


def test_the_same_article_again_is_told_once() -> None:
    """What was accepted twice is one article."""
    grouper = Grouper(WINDOW)
    assert grouper.process(annotated("a", text_of(1))) is not None
    assert grouper.process(annotated("a", text_of(1), arrived=1)) is None


def test_changed_content_is_the_next_revision_in_the_same_story() -> None:
    """A correction keeps id and story, counts up, and is no copy of itself; the story does not grow by it."""
    grouper = Grouper(WINDOW)
    first = process(grouper, annotated("a", text_of(1)))
    grouper.process(annotated("b", text_of(1) + " " + text_of(2, 5), arrived=1))
    second, story = grouper.process(annotated("a", text_of(1) + " تصحيح", arrived=2))
    assert (second.revision, second.story, second.duplicate_of) == (2, first.story, None)
    assert story.size == 2
    assert story.articles == ["a", "b"]


def test_an_older_revision_that_comes_again_changes_nothing() -> None:
    """Annotate delivers at least once: revision 1 after revision 2 is no revision 3."""
    grouper = Grouper(WINDOW)
    one, two = annotated("a", text_of(1)), annotated("a", text_of(2), arrived=1)
    assert grouper.process(one) is not None
    assert grouper.process(two) is not None
    assert grouper.process(one) is None
    assert grouper.process(two) is None


def test_two_revisions_of_one_push_keep_their_order() -> None:
    """Arrival time alone does not tell two lines of one request apart; their place on the log does."""
    grouper = Grouper(WINDOW)
    one = annotated("a", text_of(1)).model_copy(update={"sequence": 7})
    two = annotated("a", text_of(2)).model_copy(update={"sequence": 8})
    assert [process(grouper, article).revision for article in (one, two)] == [1, 2]
    assert grouper.process(one) is None


def test_what_left_the_window_is_forgotten() -> None:
    """A copy of something older than the window is an original, and memory is given back."""
    grouper = Grouper(WINDOW)
    grouper.process(annotated("a", text_of(1)))
    assert process(grouper, annotated("b", text_of(1), arrived=73)).duplicate_of is None
    assert len(grouper) == 1


def test_unrelated_articles_with_one_blurb_are_neither_copies_nor_a_story() -> None:
    """Shared boilerplate does not bring articles together."""
    blurb = "اشترك في نشرتنا اليومية لتصلك أهم الأخبار والتحليلات كل صباح على بريدك الإلكتروني مجانا"
    grouper = Grouper(WINDOW)
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
        for grouper in (Grouper(WINDOW), Grouper(WINDOW))
    ]
    assert runs[0] == runs[1]


def test_restored_state_continues_like_the_one_that_was_lost() -> None:
    """After every prefix of the seeds, a grouper rebuilt from what was published goes on with the same answers."""
    articles = seeds_annotated()
    whole = Grouper(WINDOW)
    answers = [whole.process(article) for article in articles]
    for cut in range(0, len(articles), 13):
        rebuilt = Grouper(WINDOW)
        for article, told in zip(articles[:cut], answers, strict=False):
            if told is not None:
                rebuilt.restore_article(told[0], entry_of(article))
                rebuilt.restore_story(told[1])
        assert [rebuilt.process(article) for article in articles[cut:]] == answers[cut:]


def test_seed_copies_are_found() -> None:
    """On seeds/: no false copy, at most one copy missed."""
    grouper = Grouper(WINDOW)
    wrong = missed = 0
    for article, label in zip(seeds_annotated(), seed_labels(), strict=True):
        told = process(grouper, article)
        wrong += bool(told.duplicate_of and not label["duplicate_of"])
        missed += bool(label["duplicate_of"] and not told.duplicate_of)
    assert wrong == 0
    assert missed <= 1


def test_seed_stories_are_told_apart() -> None:
    """On seeds/: BCubed F1 of at least 0.85, and stories that meet across languages."""
    grouper = Grouper(WINDOW)
    told: dict[str, str] = {}
    gold: dict[str, str] = {}
    languages: dict[str, set[str]] = {}
    for article, label in zip(seeds_annotated(), seed_labels(), strict=True):
        told[article.id] = process(grouper, article).story
        gold[article.id] = label["story"]
        languages.setdefault(told[article.id], set()).add(label["language"])
    precision = recall = 0.0
    for one, story in told.items():
        ours = {other for other in told if told[other] == story}
        theirs = {other for other in gold if gold[other] == gold[one]}
        precision += len(ours & theirs) / len(ours)
        recall += len(ours & theirs) / len(theirs)
    precision, recall = precision / len(told), recall / len(told)
    assert 2 * precision * recall / (precision + recall) >= 0.85
    assert sum(len(found) > 1 for found in languages.values()) >= 5
