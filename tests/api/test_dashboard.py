"""The page's files: words in both languages, and nothing from outside as HTML."""

import re
from pathlib import Path

import api

_FILES = Path(api.__file__).with_name("dashboard")
_SCRIPT = (_FILES / "dashboard.js").read_text(encoding="utf-8")
_PAGE = (_FILES / "index.html").read_text(encoding="utf-8")


def _words(language: str) -> dict[str, str]:
    block = re.search(rf"^  {language}: \{{\n(.*?)^  \}},", _SCRIPT, re.DOTALL | re.MULTILINE)
    assert block is not None
    return dict(re.findall(r"^    (\w+): '(.*)',$", block.group(1), re.MULTILINE))


def test_every_word_is_there_in_both_languages() -> None:
    """With the same gaps to fill in; what page and script ask for by name is among them."""
    english, arabic = _words("en"), _words("ar")
    assert english.keys() == arabic.keys()
    for name, text in english.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", arabic[name])), name
    asked = {*re.findall(r'data-(?:text|label)="(\w+)"', _PAGE), *re.findall(r"\bt\('(\w+)'", _SCRIPT)}
    assert len(asked) > 30
    assert asked <= english.keys()


def test_what_the_page_says_before_the_script_runs_is_the_english_word() -> None:
    """So that nothing jumps."""
    english = _words("en")
    shown = re.findall(r'data-text="(\w+)"[^>]*>([^<]+)<', _PAGE)
    assert len(shown) > 20
    for name, text in shown:
        assert text == english[name]


def test_nothing_from_outside_is_taken_for_html() -> None:
    """Text enters the page as text: none of the ways by which it would be parsed is used."""
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|srcdoc", _SCRIPT)
    assert "textContent" in _SCRIPT
    assert "<script>" not in _PAGE and "onclick" not in _PAGE


def test_each_element_that_the_script_looks_for_is_on_the_page() -> None:
    """By its id; panels by theirs."""
    ids = set(re.findall(r'\bid="([\w-]+)"', _PAGE))
    wanted = set(re.findall(r"byId\('([\w-]+)'\)", _SCRIPT))
    panels = re.findall(r"(?:barPanel|makePanel)\('(\w+)'", _SCRIPT)
    assert len(wanted) > 10 and len(panels) >= 6
    assert wanted | {f"panel-{name}" for name in [*panels, "minutes"]} <= ids
