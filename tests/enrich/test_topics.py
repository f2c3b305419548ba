"""What articles are about."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrich.text.tokens import Passage
from enrich.topics.classifier import classify, parent, topic_terms, tree
from services.events import Topic

SPORT, DISASTER, ECONOMY = "medtop:15000000", "medtop:03000000", "medtop:04000000"
LANGUAGES = ("ar", "en", "fr", "ru", "es", "de", "tr", "fa")

FOOTBALL = {
    "ar": (
        "المنتخب يتأهل إلى نصف النهائي",
        "تأهل المنتخب إلى نصف نهائي البطولة بعد فوزه بهدفين مقابل هدف في مباراة حاسمة. وسجل المهاجم هدف "
        "الفوز من ركلة جزاء "
        "في الشوط الثاني، وتألق حارس المرمى. وقال المدرب إن اللاعبين يستحقون اللعب على كأس البطولة.",
    ),
    "en": (
        "Late penalty sends hosts into cup final",
        "A late penalty gave the hosts a 2-1 win in the semi-final. The striker scored after half-time "
        "and the goalkeeper "
        "saved twice. The coach praised his players, who will play the final of the tournament on Sunday.",
    ),
    "fr": (
        "Football : qualification pour la finale",
        "L'équipe s'est qualifiée pour la finale du tournoi grâce à un but sur penalty en seconde "
        "période. Le gardien de but "
        "a été décisif. L'entraîneur a salué ses joueurs après le match.",
    ),
    "ru": (
        "Сборная вышла в финал турнира",
        "Сборная по футболу вышла в финал чемпионата, выиграв матч со счётом 2:1. Нападающий забил гол с "
        "пенальти во втором "
        "тайме, вратарь спас команду. Тренер поблагодарил игроков.",
    ),
    "es": (
        "La selección alcanza la final del torneo",
        "El equipo ganó el partido de fútbol con un gol de penalti en el segundo tiempo y jugará la "
        "final del campeonato. El "
        "portero fue el mejor jugador y el entrenador felicitó al delantero.",
    ),
    "de": (
        "Fußball: Gastgeber im Finale",
        "Die Mannschaft gewann das Halbfinale des Turniers durch einen Elfmeter in der zweiten Halbzeit. "
        "Der Torwart hielt "
        "zweimal, der Stürmer schoss das Tor. Der Trainer lobte seine Spieler.",
    ),
    "tr": (
        "Milli takım finale yükseldi",
        "Futbol milli takımı, ikinci yarıda penaltıdan gelen golle maçı kazanarak turnuvada finale "
        "yükseldi. Kaleci iki gol "
        "kurtardı. Teknik direktör oyuncularını kutladı.",
    ),
    "fa": (
        "تیم ملی فوتبال به فینال رسید",
        "تیم ملی فوتبال با گل دقایق پایانی از روی نقطه پنالتی در نیمه دوم بازی را برد و به فینال مسابقات "
        "رسید. دروازه‌بان دو بار "
        "مانع گل شد و سرمربی از بازیکنان تشکر کرد.",
    ),
}

EARTHQUAKE = {
    "ar": "ضرب زلزال بقوة ست درجات على مقياس ريختر المنطقة الجبلية، وتلته هزات ارتدادية، وتواصل فرق الإنقاذ البحث.",
    "en": "A strong earthquake shook the hills at dawn. Aftershocks followed, and rescuers searched collapsed houses.",
    "fr": "Un violent séisme a frappé la région à l'aube. Plusieurs répliques ont suivi, les secouristes cherchent.",
    "ru": "Сильное землетрясение произошло на рассвете. Эпицентр находился в горах, спасатели разбирают завалы.",
    "es": "Un fuerte terremoto sacudió la región de madrugada. El epicentro estuvo en la sierra, dicen rescatistas.",
    "de": "Ein starkes Erdbeben hat die Region erschüttert. Nachbeben folgten, die Rettungskräfte suchen weiter.",
    "tr": "Şafakta büyük bir deprem oldu. Artçı sarsıntılar sürüyor, arama kurtarma ekipleri enkazda çalışıyor.",
    "fa": "زلزله‌ای شدید سحرگاه منطقه را لرزاند. پس‌لرزه‌ها ادامه دارد و امدادگران در آوار جست‌وجو می‌کنند.",
}


def topics_of(title: str, text: str, language: str) -> list[Topic]:
    """The topics of an article, in the form that every result must have."""
    topics = classify(Passage(title), Passage(text), language)
    ids = [topic.id for topic in topics]
    scores = [topic.score for topic in topics]
    assert len(ids) == len(set(ids)) <= 5
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    for place, topic in enumerate(ids):
        above = parent(topic)
        assert above is None or above in ids[:place]
    return topics


@pytest.mark.parametrize("language", LANGUAGES)
def test_football_is_sport_and_more_than_sport(language: str) -> None:
    """A match has the topic of sport, and of its kind of sport or event, in every language."""
    topics = [topic.id for topic in topics_of(*FOOTBALL[language], language)]
    assert topics[0] == SPORT
    assert {"medtop:20000822", "medtop:20001108"} & set(topics)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_earthquake_is_a_disaster(language: str) -> None:
    """Even a short report without a headline has the topic."""
    topics = [topic.id for topic in topics_of("", EARTHQUAKE[language], language)]
    assert topics[0] == DISASTER
    assert "medtop:20000148" in topics


def test_an_article_can_have_two_topics() -> None:
    """Presidents who agree on trade are politics and economy."""
    text = (
        "بحث الرئيس مع نظيره خلال زيارة رسمية العلاقات الثنائية والتعاون الدبلوماسي، بحضور وزير الخارجية والسفير. "
        "واتفق الجانبان على رفع حجم التبادل التجاري والصادرات والاستثمارات وإنشاء مصنع للأسمدة ومحطة كهرباء."
    )
    assert {"medtop:11000000", ECONOMY} <= {
        topic.id for topic in topics_of("قمة لتعزيز التجارة بين البلدين", text, "ar")
    }


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("", "en"),
        ("123 - 456", "und"),
        ("Nothing here that would tell, only some words put one behind another.", "en"),
        ("هذا كلام قصير لا يدل على شيء، وبعده كلام آخر", "ar"),
        ("De voetbalwedstrijd is afgelopen: een taal zonder woordenlijst.", "nl"),
    ],
)
def test_no_topic_is_better_than_a_guess(text: str, language: str) -> None:
    """Without evidence, or in a language without terms, there is no topic."""
    assert topics_of("", text, language) == []


def test_labels_are_in_the_language_of_the_article() -> None:
    """The label is in the article's language; every topic has a label in every language with labels."""
    assert topics_of(*FOOTBALL["ar"], "ar")[0].label == "رياضة"
    assert topics_of(*FOOTBALL["fr"], "fr")[0].label == "sport"
    assert all(all(topic.labels.values()) for topic in tree().values())
    assert tree()[SPORT].label("ja") == "sport"


def test_the_tree_has_two_levels() -> None:
    """Seventeen topics on top; every other one is directly below one of them."""
    tops = {id_ for id_, topic in tree().items() if topic.parent is None}
    assert tops == {f"medtop:{number:02}000000" for number in range(1, 18)}
    assert {topic.parent for topic in tree().values()} == {None} | tops
    assert parent("medtop:20000822") == SPORT
    assert parent(SPORT) is None
    assert parent("medtop:99999999") is None


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("O goleiro defendeu um pênalti e o time venceu a partida de futebol do campeonato.", "pt"),
        ("Il portiere ha parato un rigore e la squadra ha vinto la semifinale del torneo di calcio.", "it"),
        ("Воротар відбив пенальті, і збірна з футболу виграла матч чемпіонату.", "uk"),
    ],
)
def test_shorter_lists_of_terms_have_sport_too(text: str, language: str) -> None:
    """Portuguese, Italian and Ukrainian have fewer terms, but plain cases are found."""
    assert topics_of("", text, language)[0].id == SPORT


@pytest.mark.parametrize("language", [*LANGUAGES, "pt", "it", "uk"])
def test_every_topic_of_the_upper_level_has_terms(language: str) -> None:
    """No language lacks a topic of the upper level."""
    assert {topic for says in topic_terms(language).weights for topic in says if parent(topic) is None} == {
        f"medtop:{number:02}000000" for number in range(1, 18)
    }


def test_spelling_does_not_matter() -> None:
    """Diacritics, tatweel and attached particles change nothing."""
    plain = topics_of("", "زلزال قوي وهزات ارتدادية وفيضانات", "ar")
    assert topics_of("", "زِلْزالٌ قويّ وهـزات ارتداديــة وفيضانات", "ar") == plain
    assert plain[0].id == DISASTER


@pytest.mark.parametrize("text", ["((((((" * 20_000, "ا" * 100_000, "كرة " * 20_000, "«" * 100_000, "goal\0" * 10_000])
def test_hostile_input_is_bounded(text: str) -> None:
    """Very long and repetitive texts are processed."""
    for language in ("ar", "en"):
        topics_of(text, text, language)


def test_only_the_beginning_counts() -> None:
    """Of a text after its first six hundred words only the length matters."""
    start = f"{FOOTBALL['en'][1]} " * 15
    assert topics_of("", f"{start}{'central bank inflation ' * 500}", "en")[0].id == SPORT


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=200), st.text(max_size=400), st.sampled_from([*LANGUAGES, "und", "zh"]))
def test_any_text_has_an_answer(title: str, text: str, language: str) -> None:
    """No text raises, and the result has its form."""
    topics_of(title, text, language)


def test_gold_topics_are_in_the_tree() -> None:
    """The labels of the seeds are topics of the tree; one of the lower level has the one above it too."""
    seeds = Path(__file__).parents[2] / "seeds"
    lines = [json.loads(line) for line in (seeds / "topics.gold.jsonl").read_text(encoding="utf-8").splitlines()]
    articles = (seeds / "articles.jsonl").read_text(encoding="utf-8").splitlines()
    assert [line["line"] for line in lines] == list(range(1, len(articles) + 1))
    for line, article in zip(lines, articles, strict=True):
        assert line["guid"] == json.loads(article).get("guid")
        assert all(parent(topic) in {None, *line["topics"]} and topic in tree() for topic in line["topics"])
