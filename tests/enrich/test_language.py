"""Which language a text is in."""

import pytest

from enrich.language import detect


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("أعلنت الحكومة اليوم عن خطة جديدة للمياه", "ar"),
        ("The government announced a new water plan today", "en"),
        ("Le gouvernement a annoncé aujourd'hui un nouveau plan pour l'eau", "fr"),
        ("Правительство объявило сегодня о новом плане", "ru"),
        ("El gobierno anunció hoy un nuevo plan de agua", "es"),
        ("Die Regierung hat heute einen neuen Plan angekündigt", "de"),
        ("دولت امروز از یک برنامهٔ جدید برای آب خبر داد و گفت که می‌خواهد آن را اجرا کند", "fa"),
        ("Hükümet bugün yeni bir su planı açıkladı ve bunun için çalışacağını söyledi", "tr"),
    ],
)
def test_sentences_are_told(text: str, language: str) -> None:
    """One sentence of news is enough."""
    found, score = detect(text)
    assert found == language
    assert 0 < score <= 1


def test_no_letters_is_undetermined() -> None:
    """Numbers are in no language, whatever the publisher claims."""
    assert detect("2026 - 11 - 06", "en") == ("und", 0.0)


def test_a_hint_does_not_overrule_the_text() -> None:
    """A publisher's wrong claim is ignored where the text speaks."""
    assert detect("The government announced a new water plan today", "ar")[0] == "en"
