"""Characters of foreign text that may not pass: what controls a terminal, the writing direction, or a URL's reader.

Used where articles come in, whichever way: pushes, feeds, files.
"""

import re
from urllib.parse import urlsplit, urlunsplit

_SPACES = re.compile("[\t\n\x0b\x0c\r\x1c-\x1f\x85\u2028\u2029]+")
# Colours and cursor movements of a terminal.
_ESCAPES = re.compile(r"\x1b\[[0-?]*+[ -/]*+[@-~]")
# C0 (NUL and ESC among them), DEL and C1.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# What separates lines: vertical tab, form feed, the separators of files, groups and records, next line.
_BREAKS = frozenset("\x0b\x0c\x1c\x1d\x1e\x85")
# Embeddings, overrides and isolates of the writing direction.
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")
# What a URL may not hold as it is (RFC 3986): all but unreserved and reserved characters and escapes.
_UNSAFE = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]")


# An address that needs no more than this look, as most do.
_PLAIN_ADDRESS = re.compile(r"https?://[a-z0-9][a-z0-9.-]*(?:/[A-Za-z0-9\-._~/?=&+,;:!$'()*@#]*+)?")


def plain(text: str) -> str:
    """A text of several lines without control characters and direction overrides, in which no words are joined.

    A control character that separates lines becomes a line break, a C1 character the one that windows-1252 has in its
    place (quotation marks and dashes, mostly), any other a space.
    """
    if text.isprintable():
        return text
    return _DIRECTION.sub("", _CONTROLS.sub(_printable, _ESCAPES.sub("", text)))


def _printable(control: re.Match[str]) -> str:
    if control[0] in _BREAKS:
        return "\n"
    shown = bytes([ord(control[0])]).decode("cp1252", "ignore")
    return shown if shown.isprintable() and shown else " "


def one_line(text: str) -> str:
    """A name on one line: as ``plain``, with spaces for line breaks and tabs."""
    # Most names have nothing to remove: seeing that takes less time than searching them.
    return text if text.isprintable() else plain(_SPACES.sub(" ", text))


def web_address(text: str) -> str:
    """An http or https URL as RFC 3986 has it: an IRI's other characters are percent-encoded, its host is in ASCII.

    Raises ``ValueError`` for what is no such address, and for control characters.
    """
    if _PLAIN_ADDRESS.fullmatch(text):
        return text
    text = _DIRECTION.sub("", text)
    if _CONTROLS.search(text) or _SPACES.search(text):
        raise ValueError("must not hold line breaks or control characters")
    parts = urlsplit(text)  # raises ValueError on a malformed address
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http or https address")
    host = parts.netloc
    if not host.isascii():
        before, at, name = host.rpartition("@")
        try:
            host = _encoded(before) + at + name.encode("idna").decode()
        except UnicodeError:
            raise ValueError("must have a valid host name") from None
    if _UNSAFE.search(host):
        raise ValueError("must have a valid host name")
    if host == parts.netloc and not _UNSAFE.search(text):
        return text
    rest = (_encoded(part) for part in (parts.path, parts.query, parts.fragment))
    return urlunsplit((parts.scheme, host, *rest))


def _encoded(part: str) -> str:
    return _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), part)
