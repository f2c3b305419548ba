"""The entities of an article."""

import pytest

from enrich.annotate import annotate
from enrich.entities import recognition
from enrich.entities.find import find_entities
from enrich.text.tokens import Passage, form
from services.events import ArticleIn, Entity
from tests.harness import raw, seed_articles

PUTIN, MACRON, ZELENSKYY, LAVROV = "Q7747", "Q3052772", "Q3874799", "Q58217"


def find(title: str | None, text: str, language: str) -> list[Entity]:
    """The entities of an article."""
    return find_entities(Passage(title or ""), Passage(text), language, recognition.load())


def ids(text: str, language: str = "ar") -> list[str]:
    """Ids found in a text."""
    return [entity.id for entity in find(None, text, language)]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("التقى فلاديمير بوتين نظيره إيمانويل ماكرون", "ar"),
        ("التقى بُوتِين وماكرون في المدينة", "ar"),
        ("Putin met Macron", "en"),
        ("Vladimir Poutine a reçu Emmanuel Macron", "fr"),
        ("Владимир Путин встретился с Эмманюэлем Макроном", "ru"),
        ("Беседа Путина с Макроном", "ru"),
    ],
)
def test_one_identity_in_every_language(text: str, language: str) -> None:
    """The same two people under the same ids, in four languages, inflected or with diacritics."""
    assert ids(text, language) == [PUTIN, MACRON]


def test_particles_are_not_part_of_the_mention() -> None:
    """و ف ب ل ك are written onto names and are not part of them."""
    text = "وبوتين لماكرون وبالقاهرة للسعودية"
    found = {mention.text for entity in find(None, text, "ar") for mention in entity.mentions}
    assert found == {"بوتين", "ماكرون", "القاهرة", "لسعودية"}


def test_marks_do_not_shift_the_mention() -> None:
    """Offsets count the code points of the text, diacritics and tatweel included."""
    text = "قال وَبُوتـين كلمته"
    (entity,) = find(None, text, "ar")
    (mention,) = entity.mentions
    assert text[mention.start : mention.end] == mention.text == "بُوتـين"


def test_first_name_alone_is_nobody() -> None:
    """Three Vladimirs: only the full name identifies one."""
    assert ids("فلاديمير زيلينسكي") == [ZELENSKYY]
    assert ids("سيرجي لافروف وسيرغي لافروف") == [LAVROV]
    assert ids("قال فلاديمير إنه سيعود") == []


def test_longest_name_wins() -> None:
    """A name inside a longer one is not found too."""
    assert ids("الجمعية العامة للأمم المتحدة") == ["Q47423"]


def test_names_that_share_a_stem_are_distinguished_by_their_spelling() -> None:
    """«Нигер» and «Нигерия» have one stem; the spelling of the gazetteer decides."""
    assert ids("Нигер и Нигерия", "ru") == ["Q1032", "Q1033"]


def test_small_letters_are_no_name() -> None:
    """Where a script has capitals a name must have them."""
    assert ids("the jordan of chad in turkey", "en") == []
    assert ids("He let us know", "en") == []


def test_a_name_does_not_continue_after_a_full_stop_or_in_a_new_paragraph() -> None:
    """The words of a name are adjacent."""
    assert PUTIN in ids("فلاديمير بوتين")
    text = "Abu.\n\n\n\nDhabi"
    assert "Q1519" not in ids(text, "en")


def test_title_only_entities_have_no_mentions() -> None:
    """An entity that is named only in the title has no offsets in the text."""
    (entity,) = find("Putin speaks", "He spoke for an hour.", "en")
    assert (entity.id, entity.mentions) == (PUTIN, [])


def test_names_are_shown_in_the_language_of_the_article() -> None:
    """The canonical name follows the article's language, with English where there is none."""
    assert find(None, "Путин", "ru")[0].name == "Владимир Путин"
    assert find(None, "Putin", "en")[0].name == "Vladimir Putin"
    assert find(None, "Putin", "sw")[0].name == "Vladimir Putin"


def test_every_mention_of_every_seed_is_exact() -> None:
    """The contract: text[start:end] is the mention, in all seed articles."""
    for number, seed in enumerate(seed_articles()):
        article = annotate(raw(seed, str(number)))
        for entity in article.entities:
            for mention in entity.mentions:
                assert article.text[mention.start : mention.end] == mention.text


def test_annotating_twice_gives_the_same() -> None:
    """Same input, same output: nothing depends on earlier articles."""
    seed = raw(ArticleIn(text="التقى بوتين ماكرون في القاهرة"), "a")
    assert annotate(seed) == annotate(seed)


@pytest.mark.parametrize(
    ("one", "other"),
    [("إيمانويل", "ايمانويل"), ("لجنة", "لجنه"), ("على", "علي"), ("مـصر", "مِصر"), ("Erdoğan", "ERDOGAN")],
)
def test_spelling_variants_have_one_form(one: str, other: str) -> None:
    """Hamza, marks, accents and case do not change the form."""
    assert form(one) == form(other)
