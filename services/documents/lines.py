"""The lines of a file in any encoding, as UTF-8, one at a time and in bounded memory."""

import io
from typing import Any, Final

from services.documents.encodings import decode

# What is left at the ends of a line by software that means other things by a line than JSONL does.
_AROUND: Final = " \t\r\n\v\f\x85\xa0\u2028\u2029\ufeff\x1a\0"


class TooLong(Exception):
    """A line is longer than allowed; the next one can be read."""


class Lines:
    """The lines of ``file`` after its beginning ``head``, which shows the encoding; a line feed ends a line.

    Valid UTF-8 is taken as it is; other lines are read in the encoding of the file, and bytes that have no meaning
    there become U+FFFD.
    """

    def __init__(self, file: "io.BufferedReader[Any]", head: bytes, *, longest: int) -> None:
        """``longest``: the maximum length of a line in bytes; of UTF-16, in characters."""
        self._longest = longest
        self._encoding = decode(head)[1]
        wide = self._encoding.startswith(("utf-16", "utf-32"))
        self._wide = io.TextIOWrapper(file, self._encoding, errors="replace", newline="\n") if wide else None
        self._file = file

    def next(self) -> str | None:
        """The next line without its end and the space around it; None at the end of the file.

        Raises ``TooLong``, and what reading the file raises.
        """
        line, ended = self._read(self._longest + 1)
        if len(line) > self._longest:
            while line and not ended:
                line, ended = self._read(self._longest)
            raise TooLong(f"line longer than {self._longest} bytes")
        if not line:
            return None
        return (line if isinstance(line, str) else self._text(line)).strip(_AROUND)

    def _read(self, size: int) -> tuple[bytes | str, bool]:
        if self._wide is not None:
            text = self._wide.readline(size)
            return text, text.endswith("\n")
        line = self._file.readline(size)
        return line, line.endswith(b"\n")

    def _text(self, line: bytes) -> str:
        return text_of(line, self._encoding)


def text_of(part: bytes, encoding: str) -> str:
    """A part of a file whose encoding is ``encoding``; UTF-8 where it is valid."""
    try:
        return part.decode()
    except UnicodeDecodeError:
        # Files that were put together from several may have several encodings.
        return decode(part)[0] if encoding == "utf-8" else part.decode(encoding, "replace")
