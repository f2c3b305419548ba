"""What is a near-duplicate and what is not, as subscribers see it."""

import functools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from benchmarks import synthetic
from enrich.annotate import annotate
from enrich.group import duplicates
from enrich.group.grouper import Grouper
from ingest.generator import LANGUAGES, copying
from ingest.generator.writing import language
from services.events import AnnotatedArticle, Article, ArticleIn
from tests.harness import ARRIVAL, raw, seed_articles, seed_labels

WINDOW = timedelta(hours=72)
LONG = 100
_seconds = count()


def article(article_id: str, text: str, title: str | None = None, source: str | None = None) -> AnnotatedArticle:
    """An annotated article that arrived a second after the one before."""
    number = next(_seconds)
    sent = ArticleIn(text=text, title=title, source=source)
    return annotate(raw(sent, article_id, ARRIVAL + timedelta(seconds=number)), sequence=number)


def process(grouper: Grouper, annotated: AnnotatedArticle) -> Article:
    """The published article."""
    output = grouper.process(annotated)
    assert output is not None
    return output.article


@dataclass(frozen=True)
class Original:
    """A longer article of seeds/; ``names`` are the names in its text."""

    id: str
    language: str
    title: str
    text: str
    names: tuple[str, ...]


@functools.cache
def originals() -> tuple[Original, ...]:
    """Articles of seeds/ that are not near-duplicates, one of each story."""
    stories: set[str] = set()
    found = []
    for number, (sent, label) in enumerate(zip(seed_articles(), seed_labels(), strict=True)):
        text = sent.text or ""
        if (
            label["language"] in LANGUAGES
            and not label["duplicate_of"]
            and label["revision"] == 1
            and label["story"] not in stories
            and len(text.split()) >= LONG
        ):
            stories.add(label["story"])
            named = article(str(number), text, sent.title).entities
            names = tuple(mention.text for entity in named for mention in entity.mentions)
            found.append(Original(str(number), label["language"], sent.title or "", text, names))
    return tuple(found)


def first() -> tuple[str, str, str]:
    """Id, title and text of the first of them."""
    original = originals()[0]
    return original.id, original.title, original.text


def misses(change: Callable[[random.Random, Original], str], title: str | None = None) -> list[str]:
    """Ids of originals whose changed copy was not recognised as a near-duplicate of them, all in one window."""
    grouper = Grouper(WINDOW)
    for original in originals():
        assert process(grouper, article(original.id, original.text, original.title)).duplicate_of is None
    rng = random.Random(1)
    missed = []
    for original in originals():
        duplicate = process(grouper, article(f"{original.id} again", change(rng, original), title or original.title))
        if duplicate.duplicate_of != original.id:
            missed.append(original.id)
        else:
            assert 0 < duplicate.similarity <= 1
    return missed


def test_copies_with_up_to_every_seventh_word_changed_are_found() -> None:
    """With up to 15% of the words except names replaced, removed or added, 95% of copies point to their originals."""
    missed = []
    for share in (0.03, 0.06, 0.09, 0.12, 0.15):

        def changed(rng: random.Random, original: Original, share: float = share) -> str:
            vocabulary = language(original.language).vocabulary
            return copying.reworded(rng, original.text, share, vocabulary, original.names)[0]

        missed += misses(changed)
    assert len(originals()) >= 20
    assert len(missed) <= 0.05 * 5 * len(originals())


def test_a_copy_under_another_headline_is_found() -> None:
    """The same text with another title is a near-duplicate."""
    assert misses(lambda _, original: original.text, title="قراءة في أبرز ما جاء اليوم") == []


def test_a_copy_without_its_lead_is_found() -> None:
    """A text without its first quarter is a near-duplicate."""

    def cut(_: random.Random, original: Original) -> str:
        words = original.text.split(" ")
        return " ".join(words[len(words) // 4 :])

    assert misses(cut) == []


def test_a_copy_with_an_additional_paragraph_is_found() -> None:
    """A text with a few added sentences is a near-duplicate."""

    def longer(rng: random.Random, original: Original) -> str:
        more = " ".join(rng.choices(language(original.language).vocabulary, k=30))
        return copying.with_paragraph(rng, original.text, more)[0]

    assert misses(longer) == []


def test_excerpts_of_a_long_article_are_found() -> None:
    """Of excerpts of sixty words from an article of four hundred, nine in ten are near-duplicates of it."""
    words = " ".join(original.text for original in originals() if original.language == "ar").split()
    found = excerpts = 0
    for first in range(0, len(words) - 400, 400):
        long = words[first : first + 400]
        grouper = Grouper(WINDOW)
        process(grouper, article("long", " ".join(long)))
        for start in range(0, len(long) - 60, 60):
            excerpt = process(grouper, article(f"from {start}", " ".join(long[start : start + 60])))
            excerpts += 1
            found += excerpt.duplicate_of == "long"
            assert not excerpt.duplicate_of or excerpt.similarity > 0.5
    assert excerpts >= 12
    assert found >= 0.9 * excerpts


def test_a_development_is_not_a_near_duplicate_of_the_flash_in_it() -> None:
    """A long article that contains an earlier flash completely is an original, because it adds news."""
    for original in originals():
        grouper = Grouper(WINDOW)
        process(grouper, article("flash", " ".join(original.text.split()[:25]), original.title))
        development = process(grouper, article("development", original.text, original.title))
        assert development.duplicate_of is None


def test_a_flash_is_a_near_duplicate_of_an_earlier_article_that_contains_it() -> None:
    """A flash that comes after the long article adds nothing."""
    article_id, title, text = first()
    grouper = Grouper(WINDOW)
    process(grouper, article(article_id, text, title))
    assert process(grouper, article("flash", " ".join(text.split()[:25]), title)).duplicate_of == article_id


CITIES = {
    "ar": "بغداد دمشق القاهرة الرياض عمان بيروت تونس الرباط الخرطوم صنعاء الكويت الدوحة".split(),
    "en": "London Paris Berlin Madrid Rome Vienna Moscow Tokyo Cairo Ottawa Dublin Oslo".split(),
}
WEATHER = {
    "ar": (
        "توقعت هيئة الأرصاد أن يكون الطقس في {city} غدا مائلا إلى الحرارة نهارا ومعتدلا ليلا. "
        "وتبلغ درجة الحرارة العظمى في {city} {a} درجة والصغرى {b} درجة مئوية. "
        "وتهب على {other} رياح شمالية غربية سرعتها {c} كيلومترا في الساعة مثيرة للغبار أحيانا. "
        "وفي {other} تتكون السحب المنخفضة وتنخفض الرؤية إلى {d} متر مع فرصة لهطول الأمطار. "
        "وتبلغ الرطوبة في {city} {e} في المئة ويكون البحر متوسط الموج."
    ),
    "en": (
        "The weather service expects a warm day and a mild night in {city} tomorrow. "
        "Temperatures in {city} will reach {a} degrees and fall to {b} degrees at night. "
        "Winds in {other} blow from the north-west at {c} kilometres an hour and may raise dust. "
        "Low clouds form over {other}, where visibility drops to {d} metres with a chance of rain. "
        "Humidity in {city} stands at {e} per cent and the sea is moderate."
    ),
}


@pytest.mark.parametrize("code", ["ar", "en"])
def test_reports_from_one_template_are_not_near_duplicates(code: str) -> None:
    """Weather reports in the same sentences about other cities with other numbers are originals."""
    grouper, rng = Grouper(WINDOW), random.Random(2)
    cities = CITIES[code]
    for number, city in enumerate(cities):
        numbers = dict(zip("abcde", rng.sample(range(11, 100), 5), strict=True))
        text = WEATHER[code].format(city=city, other=cities[number - 1], **numbers)
        assert process(grouper, article(f"{code} {number}", text, source="weather.example")).duplicate_of is None


def test_a_correction_is_not_a_near_duplicate_of_what_it_corrects() -> None:
    """It is the next revision; an article is never compared with its own earlier revisions."""
    article_id, title, text = first()
    grouper = Grouper(WINDOW)
    process(grouper, article(article_id, text, title))
    correction = process(grouper, article(article_id, f"{text} تصحيح", title))
    assert (correction.revision, correction.duplicate_of) == (2, None)


def test_a_correction_after_a_copy_stays_the_original() -> None:
    """The article that arrived first stays the original, also when a near-duplicate had the corrected words first."""
    article_id, title, text = first()
    grouper = Grouper(WINDOW)
    process(grouper, article(article_id, text, title))
    assert process(grouper, article("copy", f"{text} نقلا عن الوكالة", title)).duplicate_of == article_id
    assert process(grouper, article(article_id, f"{text} تصحيح نقلا عن الوكالة", title)).duplicate_of is None
    assert process(grouper, article("another", f"{text} تصحيح", title)).duplicate_of == article_id


def test_a_corrected_near_duplicate_is_still_a_near_duplicate() -> None:
    """Unless the correction is an entirely different text."""
    article_id, title, text = first()
    other = originals()[1].text
    grouper = Grouper(WINDOW)
    process(grouper, article(article_id, text, title))
    process(grouper, article("copy", f"{text} نقلا عن الوكالة", title))
    corrected = process(grouper, article("copy", f"{text} تصحيح", title))
    assert (corrected.revision, corrected.duplicate_of) == (2, article_id)
    rewritten = process(grouper, article("copy", other, title))
    assert (rewritten.revision, rewritten.duplicate_of, rewritten.similarity) == (3, None, None)


def test_the_cost_of_a_common_blurb_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two thousand articles with one blurb none is a near-duplicate, and the number of comparisons does not grow."""
    rng = random.Random(3)
    blurb = [f"blurb{number}" for number in range(30)]
    grouper = Grouper(WINDOW)
    compared: list[int] = []
    containment = duplicates.containment

    def counted(row: Any, others: Any) -> Any:
        compared[-1] += len(others)
        return containment(row, others)

    monkeypatch.setattr(duplicates, "containment", counted)
    for number in range(2_000):
        compared.append(0)
        assert (
            process(grouper, synthetic.unrelated(number, rng, blurb, ARRIVAL + timedelta(seconds=number))).duplicate_of
            is None
        )
    assert any(compared), "no article was compared because of the blurb: this test shows nothing"
    assert max(compared) <= 64
    assert mean(compared[-500:]) <= 1.3 * mean(compared[500:1_000])


def mean(numbers: Iterable[int]) -> float:
    """Arithmetic mean."""
    numbers = list(numbers)
    return sum(numbers) / len(numbers)


def test_a_caption_with_another_title_is_an_original() -> None:
    """A text of one name is compared together with its title; with the same title it is a near-duplicate."""
    grouper = Grouper(WINDOW)
    one = process(grouper, article("one", "بلاتر", "بلاتر يصل إلى موسكو في أول زيارة منذ بدء الأزمة", "a.example"))
    other = process(grouper, article("other", "بلاتر", "أشهر صعبة تنتظر رئيس الفيفا قبل الرحيل", "b.example"))
    again = process(grouper, article("again", "بلاتر", "بلاتر يصل إلى موسكو في أول زيارة منذ بدء الأزمة", "c.example"))
    assert (one.duplicate_of, other.duplicate_of, again.duplicate_of) == (None, None, "one")


TOWN_WEATHER = (
    "يتوقع خبراء الأرصاد أن تشهد مدينة {} غدا طقسا {} مع رياح نشطة تثير الأتربة في المناطق المكشوفة، وأن تبلغ درجة "
    "الحرارة العظمى {} درجة والصغرى {} درجة. ونصح الخبراء السكان بشرب الماء بكثرة وتجنب الوقوف تحت أشعة الشمس في "
    "ساعات الظهيرة ومتابعة النشرات التي تصدر كل ست ساعات."
)
MARKET = (
    "أغلقت أسعار السلع في سوق {} اليوم {} على تباين، إذ بلغ سعر كيلو الطماطم {} دينارا والبطاطا {} دينارا والبصل {} "
    "دينارا والتفاح {} دينارا، فيما بقيت أسعار اللحوم على حالها. وتختلف الأسعار من محل إلى آخر بحسب النوع وكلفة "
    "النقل، ويعيدها التجار إلى حركة العرض والطلب في الأسواق المركزية."
)


@pytest.mark.parametrize(
    ("one", "other", "titles"),
    [
        (
            TOWN_WEATHER.format("حلب", "حارا", 39, 26),
            TOWN_WEATHER.format("دمشق", "معتدلا", 33, 19),
            ("الطقس غدا في حلب", "الطقس غدا في دمشق"),
        ),
        (
            MARKET.format("عمان", "السبت", 1.25, 0.85, 0.62, 2.4),
            MARKET.format("عمان", "الأحد", 1.45, 0.95, 0.66, 2.1),
            ("أسعار الخضار السبت", "أسعار الخضار الأحد"),
        ),
    ],
)
@pytest.mark.parametrize("sources", [("a.example", "a.example"), ("a.example", "b.example")])
def test_the_same_report_of_another_day_or_place_is_no_copy(
    one: str, other: str, titles: tuple[str, str], sources: tuple[str, str]
) -> None:
    """Two texts of one template with other names and numbers are two articles; the same report elsewhere is a copy."""
    grouper = Grouper(WINDOW, 1_000)
    process(grouper, article("one", one, titles[0], sources[0]))
    assert process(grouper, article("other", other, titles[1], sources[1])).duplicate_of is None
    assert process(grouper, article("copy", f"وكالات - {one}", titles[0], "c.example")).duplicate_of == "one"


def test_two_flashes_are_no_copies_and_one_flash_of_two_outlets_is() -> None:
    """Another place makes another flash; the same headline from another outlet is a copy."""
    grouper = Grouper(WINDOW, 1_000)
    flash = "عاجل: انقطاع التيار الكهربائي عن مدينة {} بالكامل بعد عطل في محطة التحويل الرئيسية"
    for number, place in enumerate(["الرقة", "حمص", "إدلب"]):
        text = flash.format(place)
        assert process(grouper, article(f"f{number}", text, text, "a.example")).duplicate_of is None
    again = flash.format("حمص")
    assert process(grouper, article("b", again, again, "b.example")).duplicate_of == "f1"
    assert process(grouper, article("c", again, None, "c.example")).duplicate_of == "f1"


def test_one_notice_under_different_headlines_makes_no_copies() -> None:
    """An outlet that sends one text under each headline has as many articles as headlines; a repost is still a copy."""
    grouper = Grouper(WINDOW, 1_000)
    notice = "تجدون تفاصيل ما جرى وصوره وآراء المتابعين في تطبيق الصحيفة على الهاتف وفي عددها المطبوع صباح الغد"
    for number, title in enumerate(["فيضان النيل يغمر قرى", "انتخاب عمدة لندن", "فوز الترجي بالكأس"]):
        assert process(grouper, article(f"n{number}", notice, title, "a.example")).duplicate_of is None
    assert process(grouper, article("again", notice, "فيضان النيل يغمر القرى", "a.example")).duplicate_of == "n0"


def test_digits_of_another_script_do_not_hide_a_copy() -> None:
    """The same report with Arabic-Indic digits is a copy."""
    grouper = Grouper(WINDOW, 1_000)
    text = "بلغ عجز الميزان 3.4 مليارات في 2025 مقابل 2.9 مليار في 2024 وارتفعت الصادرات 12 في المئة إلى 41.7 مليارا"
    process(grouper, article("one", text))
    digits = str.maketrans("0123456789.", "٠١٢٣٤٥٦٧٨٩٫")
    assert process(grouper, article("other", text.translate(digits))).duplicate_of == "one"


def test_texts_that_differ_by_names_alone_are_no_copies() -> None:
    """The same sentences about other places are another article, whatever the outlets and titles."""
    grouper = Grouper(WINDOW, 1_000)
    text = (
        "بحث وزراء خارجية روسيا وألمانيا وفرنسا وإيطاليا في موسكو أمس مع الأمم المتحدة والاتحاد الأوروبي إعادة فتح "
        "مطار {} أمام طائرات الإغاثة، وقالوا في بيان إن أول طائرة ستصل قبل نهاية الشهر وعليها أدوية تكفي ألف أسرة، "
        "وإن خبراء سيتوجهون إلى {} لفحص المدارج وأبراج المراقبة قبل ذلك بأيام."
    )
    process(grouper, article("one", text.format("دمشق", "حلب"), "طائرات إغاثة قبل نهاية الشهر", "a.example"))
    other = process(grouper, article("other", text.format("بغداد", "البصرة"), "خبراء يفحصون المدارج", "b.example"))
    assert other.duplicate_of is None


def test_the_next_issue_of_a_newsletter_is_no_copy() -> None:
    """The closing paragraphs are most of it, but the titles' numbers say that it is another issue."""
    grouper = Grouper(WINDOW, 1_000)
    closing = (
        "تصلكم هذه الرسالة في بداية كل أسبوع، ويكتبها محررو الصحيفة بالتناوب، ويسعدهم أن تكتبوا إليهم بما ترونه "
        "ناقصا. ومن وصلته من صديق يمكنه أن يشترك فيها دون مقابل، ومن شاء أن يوقفها فليضغط على الكلمة التي في آخرها. "
        "والصحيفة يملكها قراؤها، وتنشر حساباتها في كل عام، ولا تقبل إعلانا من حزب ولا من شركة لها شأن بما تكتب."
    )
    news_of_week = ("رمم البناؤون سور المدينة القديمة بعد الشتاء", "زرع المتطوعون ألف شجرة على الهضبة")
    for number, news in enumerate(news_of_week):
        issue = process(
            grouper, article(f"{number}", f"{news}\n\n{closing}", f"رسالة الأسبوع {number + 7}", "a.example")
        )
        assert issue.duplicate_of is None


def test_a_copy_of_a_copy_names_the_original() -> None:
    """Also where it was edited so often that it has less of the original than a copy must have."""
    words = [f"word{chr(97 + number // 10)}{chr(97 + number % 10)}" for number in range(100)]
    first, second = words.copy(), words.copy()
    for at in range(0, 50, 10):
        first[at] = second[at] = f"{words[at]}edited"
    for at in range(52, 100, 6):
        second[at] = f"{words[at]}edited"
    grouper = Grouper(WINDOW, 1_000)
    process(grouper, article("original", " ".join(words)))
    assert process(grouper, article("copy", " ".join(first))).duplicate_of == "original"
    assert process(grouper, article("copied", " ".join(second))).duplicate_of == "original"


def test_a_copy_never_names_an_original_that_arrived_later() -> None:
    """Group may see an article after its copy; the next copy names what arrived first."""
    text = originals()[0].text
    articles = [article(name, text, source=f"{name}.example") for name in ("first", "second", "third")]
    grouper = Grouper(WINDOW, 1_000)
    found = {one.id: process(grouper, one).duplicate_of for one in (articles[1], articles[0], articles[2])}
    assert found == {"second": None, "first": None, "third": "first"}
