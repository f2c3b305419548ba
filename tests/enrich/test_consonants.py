"""Names that are written in several scripts."""

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
def test_a_name_has_one_skeleton_in_every_script(arabic: str, other: str) -> None:
    """Vowels and sounds that a language lacks do not keep two spellings of a name apart."""
    assert consonant_key(arabic) == consonant_key(other) is not None


def test_marks_and_articles_do_not_count() -> None:
    """Diacritics, tatweel and the article are not part of a name's consonants."""
    assert consonant_key("مُحَمَّد الحَرْبِيّ") == consonant_key("محمـد حربي")


@pytest.mark.parametrize("name", ["", "علي", "Li Yu", "O", "123", "中村", "ال"])
def test_too_few_consonants_tell_nothing(name: str) -> None:
    """Short names would meet by chance, and unknown scripts have no consonants here."""
    assert consonant_key(name) is None


def test_other_names_have_other_skeletons() -> None:
    """The evidence is worth something: presidents and footballers stay apart."""
    names = ["فلاديمير بوتين", "فولوديمير زيلينسكي", "كريم وجدي", "كريم بنزيمة", "أحمد الشرع", "أحمد الطيب"]
    assert len({consonant_key(name) for name in names}) == len(names)
