"""Boilerplate is found, and the news is not."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.text.boilerplate import BoilerplateDetector, known_boilerplate, without

BLURB = "يقدم الموقع لقرائه أحدث الأخبار من مراسليه في العواصم العربية والعالمية ويمكنكم متابعته عبر تطبيق الهاتف"
NEWS = (
    "وصل وزير الخارجية إلى القاهرة مساء اليوم في زيارة تستمر يومين",
    "أعلنت الشركة زيادة إنتاجها من القمح بعد موسم ماطر في الشمال",
    "فاز الفريق بكأس البطولة بعد مباراة امتدت إلى الأشواط الإضافية",
    "افتتح المتحف جناحاً جديداً للخزف القديم بحضور جمهور كبير",
)


def marked(finder: BoilerplateDetector, source: str | None, *lines: str) -> list[str]:
    """The lines of an article that were found to be boilerplate."""
    text = "\n\n".join(lines)
    spans = finder.find(source, text)
    return [line for span in spans for line in text[span.start : span.end].split("\n") if line]


@pytest.mark.parametrize(
    "line",
    [
        "اقرأ أيضاً: كيف تحمي أسرتك من الأمراض؟",
        "إقرأ أيضا كيف تحمي أسرتك",
        "اخترنا لك",
        "Read also: Ten train journeys",
        "Lire aussi : les gares du pays",
        "Читайте также: что известно о форуме",
        "Lea también: los trenes del país",
        "Lesen Sie auch: Die Bahnhöfe des Landes",
        "+A",
        "حجم الخط",
        "icon",
        "lm_rwsya_28_shbat_2022_rwytrz.jpg",
        "إسطنبول - وكالات",
        "القاهرة (أ ف ب)",
        "(رويترز)",
        "كتب: محمد عبد الله",
        "كَتَبَتْ: نهى الشرقاوي",
        "By Jane Doe and John Roe",
        "Par Jeanne Dupont",
        "Автор: Иван Петров",
        "2022.02.28 | 21:02 دمشق",
        "Photo: Jane Doe/Reuters",
        "علم البلدين على طاولة المحادثات 28 شباط 2022 (رويترز)",
        "© 2022 World Ledger",
        "جميع الحقوق محفوظة، ولا يجوز نسخ هذه المادة",
        "Subscribe to our newsletter for the news of the day",
        "تابعونا على منصات التواصل",
        "The post Ten train journeys appeared first on World Ledger.",
        "L’article Les gares du pays est apparu en premier sur Le Courrier.",
        "La entrada Los trenes del país se publicó primero en El Correo.",
        "ظهرت المقالة محطات القطار أولاً على قاسيون.",
        "Demiryolları yazısı ilk önce Haber üzerinde ortaya çıktı.",
    ],
)
def test_known_phrases_are_found_without_history(line: str) -> None:
    """No source and no repetition is needed, in any of the languages."""
    assert marked(BoilerplateDetector(), None, line, *(f"{news}." for news in NEWS)) == [line]


@pytest.mark.parametrize(
    "line",
    [
        "اشترك في المسابقة مئة متسابق من عشرين دولة",
        "كتب الرئيس في رسالته أن المفاوضات كانت صعبة",
        "وأوضح أن الاتفاق يشمل المياه والطاقة (رويترز) وأنه ينشر لاحقاً.",
        "By Friday the river had reached the bridge",
        "Por Madrid pasaron miles de visitantes",
        "Related to this is the price of wheat",
        "Share prices fell on Monday",
        "Von Hamburg nach Bremen fährt kein Zug",
        "2022 was a good year",
        "Print is not dead",
    ],
)
def test_news_that_begins_like_boilerplate_stays(line: str) -> None:
    """A phrase at the beginning of a sentence does not make it boilerplate."""
    assert marked(BoilerplateDetector(), None, *NEWS, line, *NEWS[::-1]) == []


def test_headlines_under_read_also_belong_to_it() -> None:
    """At the end all of them; in the middle, where the article goes on, one."""
    end = ("اقرأ أيضاً", "جولة في ورش الحرفيين", "خمسة متاحف لا تعرفها")
    assert marked(BoilerplateDetector(), None, *NEWS, *end) == list(end)
    middle = marked(BoilerplateDetector(), None, NEWS[0], "Read also", "Ten train journeys", "A heading", f"{NEWS[1]}.")
    assert middle == ["Read also", "Ten train journeys"]


def test_a_picture_caption_that_repeats_the_headline_is_found() -> None:
    """The headline itself stays."""
    assert marked(BoilerplateDetector(), None, NEWS[0], NEWS[1], f"• {NEWS[0]}", NEWS[2]) == [f"• {NEWS[0]}"]


def test_a_closing_blurb_is_learned_from_three_unrelated_articles_of_its_source() -> None:
    """It is found in the third article and later ones; in another source it is still unknown."""
    finder = BoilerplateDetector()
    found = [marked(finder, "a.example", news, BLURB) for news in NEWS]
    assert found == [[], [], [BLURB], [BLURB]]
    assert marked(finder, "b.example", NEWS[0], BLURB) == []
    assert marked(finder, None, NEWS[0], BLURB) == []


def test_learning_from_older_articles_is_as_good_as_finding_in_them() -> None:
    """``learn`` fills the history as ``find`` does."""
    finder = BoilerplateDetector()
    for news in NEWS[:2]:
        finder.learn("a.example", f"{news}\n{BLURB}")
    assert marked(finder, "a.example", NEWS[2], BLURB) == [BLURB]


def test_nothing_is_learned_from_reposts_and_corrections_of_one_article() -> None:
    """An article that arrives ten times, each time with another line edited, is still news."""
    finder = BoilerplateDetector()
    assert marked(finder, "a.example", *NEWS) == []
    for number in range(10):
        edited = list(NEWS)
        edited[number % 4] += f" وفق بيان رقم {number}"
        assert marked(finder, "a.example", *edited) == []


def test_a_flash_that_is_corrected_again_and_again_stays_news() -> None:
    """Two lines, one of them edited in its middle each time."""
    finder = BoilerplateDetector()
    for number in range(6):
        lead = f"أعلن البنك المركزي في العاصمة مساء اليوم رفع الفائدة {number} نقاط بعد اجتماع طويل للجنة النقد"
        assert marked(finder, "a.example", lead, NEWS[0]) == []


def test_an_article_is_never_boilerplate_from_end_to_end() -> None:
    """If nothing would be left, nothing is marked."""
    assert marked(BoilerplateDetector(), None, "اقرأ أيضاً: خبر", "حجم الخط", "***") == []


def test_the_history_is_bounded_and_the_least_recently_seen_is_evicted() -> None:
    """Many sources and many lines evict the oldest; lines that are seen repeatedly are kept."""
    finder = BoilerplateDetector(sources=2, lines=8)
    for news in NEWS[:3]:
        finder.learn("a.example", f"{news}\n{BLURB}")
    for number in range(100):
        finder.learn("a.example", "\n".join(f"line {number} {other}" for other in range(5)) + f"\n{BLURB}")
    assert marked(finder, "a.example", NEWS[3], BLURB) == [BLURB]
    for source in ("b.example", "c.example"):
        finder.learn(source, BLURB)
    assert marked(finder, "a.example", NEWS[3], BLURB) == []


def test_a_notice_in_place_of_the_text_is_learned_under_different_titles() -> None:
    """From the third article on it is boilerplate, though nothing else is left: the news is the title."""
    finder = BoilerplateDetector()
    found = [finder.find("a.example", BLURB, title) != [] for title in NEWS]
    assert found == [False, False, True, True]
    again = BoilerplateDetector()
    assert not any(again.find("a.example", BLURB, NEWS[0]) for _ in range(5))


def test_the_closing_paragraphs_of_a_newsletter_are_learned() -> None:
    """Most of each issue is the same, but title and lead are not."""
    finder = BoilerplateDetector()
    closing = [f"{BLURB} {number}" for number in range(4)]
    texts = ["\n".join([news, *closing]) for news in NEWS]
    spans = [finder.find("a.example", text, f"{number} نشرة") for number, text in enumerate(texts)]
    assert [without(text, found).strip() for text, found in zip(texts, spans, strict=True)] == [*texts[:2], *NEWS[2:]]


def test_the_older_posts_of_a_live_blog_are_news() -> None:
    """A live blog grows at its beginning and changes its title; what was posted before is repeated, and stays news."""
    finder = BoilerplateDetector()
    posts: list[str] = []
    for number in range(12):
        posts.insert(0, f"{number}:00 {NEWS[number % 4]} في الساعة {number}")
        assert finder.find("a.example", "\n".join(posts), f"{posts[0][:20]} مباشر") == []


LINES = st.sampled_from([*NEWS, BLURB, "اقرأ أيضاً", "+A", "By Jane Doe", "(رويترز)", "", " ", "• ", "a.jpg", "©"])
TEXTS = st.lists(LINES | st.text(max_size=30), max_size=12).map("\n".join)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", None]), TEXTS), max_size=5))
def test_spans_are_in_the_text_in_order_and_the_same_articles_give_the_same_answers(
    articles: list[tuple[str | None, str]],
) -> None:
    """Spans are not empty, do not overlap and never cover the whole text; a second detector finds the same."""
    first, second = BoilerplateDetector(), BoilerplateDetector()
    for source, text in articles:
        spans = first.find(source, text)
        assert spans == second.find(source, text)
        assert all(0 <= span.start < span.end <= len(text) for span in spans)
        assert all(one.end < other.start for one, other in itertools.pairwise(spans))
        assert not spans or any(map(str.isalpha, "".join(_rest(text, [(s.start, s.end) for s in spans]))))


def _rest(text: str, spans: list[tuple[int, int]]) -> list[str]:
    ends = [0, *(end for _, end in spans)]
    starts = [*(start for start, _ in spans), len(text)]
    return [text[end:start] for end, start in zip(ends, starts, strict=True)]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text", ["ا" * 2_000_000, "\n" * 2_000_000, "By A\n" * 40_000, "(" * 1_000_000, "كتب: ا " * 200_000, "a - " * 40]
)
def test_hostile_text_costs_no_more_than_its_length(text: str) -> None:
    """One very long line, very many lines, an incomplete byline repeated."""
    assert len(BoilerplateDetector().find("a.example", text)) <= len(text)


@pytest.mark.parametrize(
    "line",
    [
        "عدد المشاهدات: 4812",
        "٤٨١٢ مشاهدة",
        "المشاهدات 12.5 ألف",
        "👁 977 قراءة",
        "مدة القراءة: 4 دقائق",
        "التعليقات (7)",
        "14 إعجابا · 3 مشاركات",
        "3.4K views",
        "Views: 1,204 | Comments: 3",
        "5 min read",
        "Просмотров: 318",
        "Время чтения: 2 мин.",
        "Lu 45 fois",
        "Temps de lecture : 3 min",
        "45 mal gelesen",
        "312 visualizações",
        "1.204 görüntülenme",
        "۳۲۱ بازدید",
    ],
)
def test_counters_are_boilerplate(line: str) -> None:
    """A line that counts readers, comments, shares or minutes of reading is no news, in any of the languages."""
    assert marked(BoilerplateDetector(), None, NEWS[0], line, NEWS[1]) == [line]
    beside = f"هدى سالم | {line}"
    assert marked(BoilerplateDetector(), None, NEWS[0], beside, NEWS[1]) == [beside]
    one_line = f"{NEWS[0]}. {line}"
    assert without(one_line, known_boilerplate(one_line)).strip() == f"{NEWS[0]}."


@pytest.mark.parametrize(
    "line",
    [
        "مشاركة 12 دولة في المعرض",
        "بلغ عدد المشاهدات 4812 مشاهدة في اليوم الأول",
        "قراءة في كتاب",
        "The clip had 3 million views in a day",
        "Turnout: 48 percent",
        "ارتفع عدد الزوار إلى 300 ألف",
        "19 قتيلا و40 جريحا",
    ],
)
def test_numbers_of_the_news_are_no_counters(line: str) -> None:
    """A line that says more than a count is news."""
    assert marked(BoilerplateDetector(), None, NEWS[0], line, NEWS[1]) == []
