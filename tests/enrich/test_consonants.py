"""Consonant keys of names in several scripts."""

import pytest

from enrich.fingerprint.consonants import consonant_key


@pytest.mark.parametrize(
    ("arabic", "other"),
    [
        ("كريم وجدي", "Karim Wagdy"),
        ("إيلينا كارديناس", "Elena Cárdenas"),
        ("أيوب بنشقرون", "Ayoub Benchekroun"),
        ("حسام فرغلي", "Hossam Farghaly"),
        ("خالد العتيبي", "Khaled Al-Otaibi"),
        ("سلمى الغافري", "Salma Al Ghafri"),
        ("طارق المنصور", "Tariq al Mansur"),
        ("فلاديمير بوتين", "Владимир Путин"),
    ],
)
def test_a_name_has_the_same_consonant_key_in_every_script(arabic: str, other: str) -> None:
    """Vowels, and sounds that a language lacks, make no difference between spellings of a name."""
    assert consonant_key(arabic) == consonant_key(other) is not None


def test_marks_and_articles_do_not_count() -> None:
    """Diacritics, tatweel and the article are not part of a name's consonants."""
    assert consonant_key("مُحَمَّد الحَرْبِيّ") == consonant_key("محمـد حربي")


@pytest.mark.parametrize("name", ["", "علي", "Li Yu", "O", "123", "中村", "ال"])
def test_names_with_too_few_consonants_have_no_key(name: str) -> None:
    """Short names would be equal by chance, and other scripts are not supported."""
    assert consonant_key(name) is None


def test_different_names_have_different_keys() -> None:
    """Presidents and footballers are distinguished."""
    names = ["فلاديمير بوتين", "فولوديمير زيلينسكي", "كريم وجدي", "كريم بنزيمة", "أحمد الشرع", "أحمد الطيب"]
    assert len({consonant_key(name) for name in names}) == len(names)
