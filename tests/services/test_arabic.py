"""Letter normalisation: the same with camel-tools and without it."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services import arabic

_BLOCK = 4_096


def _blocks() -> list[str]:
    """Every character there is, surrogates excepted, each between letters that it could combine with."""
    points = [point for point in range(sys.maxunicode + 1) if not 0xD800 <= point <= 0xDFFF]
    return [
        "".join(f"\u0627{chr(point)}\u0627e" for point in points[first : first + _BLOCK])
        for first in range(0, len(points), _BLOCK)
    ]


def test_every_character_is_normalised_as_by_camel_tools() -> None:
    """The implementation that needs no camel-tools gives exactly the result of camel-tools."""
    pytest.importorskip("camel_tools")
    for text in _blocks():
        assert arabic.own_letters(text) == arabic.letters(text)
        assert arabic.own_unicode(text) == arabic.normalize_unicode(text)


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_is_normalised_as_by_camel_tools(text: str) -> None:
    """The same for characters in any order."""
    pytest.importorskip("camel_tools")
    assert arabic.own_letters(text) == arabic.letters(text)
    assert arabic.own_unicode(text) == arabic.normalize_unicode(text)


def test_camel_tools_is_used_where_it_is_installed() -> None:
    """The comparison above would otherwise compare one implementation with itself."""
    camel = pytest.importorskip("camel_tools.utils.normalize")
    assert arabic._camel is camel


def test_without_camel_tools() -> None:
    """What the normalisation does, in both implementations."""
    assert arabic.own_letters("أإآٱىة") == arabic.letters("أإآٱىة") == "اااايه"
    assert arabic.own_unicode("\ufdfc") == "ريال"
