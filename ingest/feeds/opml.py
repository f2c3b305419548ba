"""Importing and exporting subscriptions as lists of feeds."""

from email.utils import format_datetime
from typing import Final

from services.blocking import run_in_thread
from services.child_parser import MEGABYTE, ChildParser, ParserFailed
from services.clock import utc_now
from services.documents import opml
from services.documents.encodings import decode, labels
from services.documents.opml import NoList, Outline
from services.store.feeds import Feed

__all__ = ["NoList", "Outline", "export", "parse"]

# The parser is linear: a list of the largest size takes 1 s.
_PARSER = ChildParser("services.documents.opml:read", memory=512 * MEGABYTE)
_CPU_SECONDS: Final = 10.0


async def parse(data: bytes, *, content_type: str = "") -> list[Outline]:
    """Every subscription of an OPML document or of a text with one URL a line. Raises ``NoList``."""

    def work() -> list[Outline]:
        text, _, _ = decode(data, labels(data, content_type))
        try:
            return opml.outlines_of(_PARSER.parse(text.encode("utf-8", "replace"), cpu_seconds=_CPU_SECONDS))
        except ParserFailed as error:
            raise NoList(f"not parsed: {error}") from error
        finally:
            _PARSER.close()  # lists are imported too seldom to keep a process for it

    return await run_in_thread(work, name="opml")


def export(feeds: list[Feed]) -> bytes:
    """These feeds as OPML. User names, passwords and headers are left out: they are secret."""
    outlines = [
        Outline(
            place="",
            url=feed.options.url,
            name=feed.options.source or feed.state.title or None,
            site=feed.state.site or None,
            source=feed.options.source or None,
            language=feed.options.language or None,
            interval=feed.options.interval or None,
            full_text=feed.options.full_text or None,
        )
        for feed in feeds
    ]
    return opml.write(outlines, title="Khabar", created=format_datetime(utc_now()))
