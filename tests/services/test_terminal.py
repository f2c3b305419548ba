"""Foreign text on a terminal."""

import json

from services import terminal

FOREIGN = "a\x1b]0;t\x07b\x9bc\x7f\u202ed\u2066e\u2069\u200ff\u061c\u2028\ud800"


def test_plain_text_is_one_line_without_controls() -> None:
    """Controls become spaces, marks of direction go; joiners, which some scripts need, stay."""
    assert terminal.plain(FOREIGN) == "a ]0;t b c def  "
    assert terminal.plain("می\u200cخواهم\n") == "می\u200cخواهم "


def test_escaped_text_shows_what_is_there() -> None:
    """As Python writes it; line feeds and tabs remain if they are asked for."""
    assert terminal.escaped("\x1b[2J\u202e\x9b\n") == r"\x1b[2J\u202e\x9b\n"
    assert terminal.escaped("a\tb\nc\rd", lines=True) == "a\tb\nc\\rd"


def test_json_has_the_same_value() -> None:
    """Nothing in it reaches the terminal unescaped."""
    shown = terminal.as_json({FOREIGN: ["خبر", FOREIGN]})
    assert json.loads(shown) == {FOREIGN: ["خبر", FOREIGN]}
    assert "خبر" in shown
    assert not any(ord(one) < 32 or 127 <= ord(one) < 160 or one in "\u202e\u2066\u2069" for one in shown)
