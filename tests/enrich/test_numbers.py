"""Numbers as evidence across languages."""

import pytest

from enrich.fingerprint.numbers import numbers


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("زلزال بقوة ٥٫٣ درجات", ["5.3"]),
        ("un séisme de magnitude 5,3", ["5.3"]),
        ("1,200,000 doses, 120.000 Fass, ١٢٠٬٠٠٠ برميل", ["1200000", "120000"]),
        ("فاز 2-1 في 2026 وحضر 74 ألفا", ["2:1", "74"]),
        ("الفجر 5:07 والظهر ١١:٢٨", ["5:7", "11:28"]),
        ("ارتفع 6ر19 بالمئة و5ر1 مليار", ["19.6", "1.5"]),
        ("call 555-1-2 on 3-4-2026 or 10-12", ["555", "10", "12"]),
        ("version 1.2.3, 99999999999999999999999, 1e9", []),
        ("40, 40 and ۴۰", ["40"]),
        ("", []),
    ],
)
def test_a_number_is_the_same_in_every_notation(text: str, found: list[str]) -> None:
    """Digits of any script and separators of any country; small numbers and years are left out."""
    assert numbers(text) == found


def test_only_the_first_numbers_are_kept() -> None:
    """A table of numbers gives the first sixteen."""
    assert numbers(" ".join(str(number) for number in range(2_100, 9_000))) == [str(2_100 + at) for at in range(16)]
