"""Foreign text for a terminal: nothing in it controls the terminal, or the direction of the text around it."""

import json
import re

# C0 and C1 controls, among them ESC and DEL, and line separators; marks, embeddings, overrides and isolates of the
# writing direction; halves of surrogate pairs, which have no bytes.
_DIRECTION = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_CONTROL = "\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
_SEPARATE = re.compile(f"[{_CONTROL}]")
_TURN = re.compile(f"[{_DIRECTION}]")
_ANY = re.compile(f"[{_CONTROL}{_DIRECTION}]")
_ANY_BUT_LINES = re.compile(f"[{_CONTROL}{_DIRECTION}](?<![\t\n])")


def plain(text: str) -> str:
    """The text on one line: a space for each control character, and without marks of the writing direction."""
    return _TURN.sub("", _SEPARATE.sub(" ", text))


def escaped(text: str, *, lines: bool = False) -> str:
    r"""The text with control characters and direction marks visible, as in ``\x1b`` and ``\u202e``.

    ``lines``: line feeds and tabs remain.
    """
    return (_ANY_BUT_LINES if lines else _ANY).sub(lambda found: ascii(found[0])[1:-1], text)


def as_json(value: object, *, indent: int | None = None) -> str:
    r"""JSON in Unicode, on one line or indented, with control characters and direction marks as ``\uXXXX``."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return (_ANY if indent is None else _ANY_BUT_LINES).sub(lambda found: f"\\u{ord(found[0]):04x}", text)
