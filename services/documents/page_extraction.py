"""The main text of a page, by trafilatura.

Its time grows with the square of some pages, so only the child process of ``html_text`` imports this module.
"""

import regex
import trafilatura
from trafilatura.settings import use_config

_TAG = regex.compile(r"<[A-Za-z][A-Za-z0-9:-]{0,40}")
# Up to the end of the tag; a quoted value may contain ">".
_REST_OF_TAG = regex.compile(r"""(?:[^>"']++|"[^"]*+"|'[^']*+')*+>?""")
_LONGEST_TAG = 4_000

_CONFIG = use_config()
_CONFIG.set("DEFAULT", "MIN_EXTRACTED_SIZE", "0")
_CONFIG.set("DEFAULT", "MIN_OUTPUT_SIZE", "0")


def extract(markup: bytes) -> bytes:
    """The main text of an HTML page or fragment, both in UTF-8, a line for each paragraph."""
    page = shorten_tags(markup.decode("utf-8", "replace"))
    if "<body" not in page.lower():
        page = f"<html><body><article>{page}</article></body></html>"
    extracted = trafilatura.extract(
        page,
        output_format="txt",
        include_comments=False,
        include_tables=False,
        favor_recall=True,
        config=_CONFIG,
    )
    if not extracted:
        # Too short (or all in a table) for the extractor to find a main part: take all of it.
        extracted = trafilatura.html2txt(page)
    return str(extracted or "").encode("utf-8", "replace")


def shorten_tags(markup: str) -> str:
    """The markup without the attributes of overlong tags, in one pass.

    The parser's time grows with the square of a tag's attributes.
    """
    parts: list[str] = []
    at = 0
    while (opening := _TAG.search(markup, at)) is not None:
        tag = _REST_OF_TAG.match(markup, opening.end())
        end = tag.end() if tag else opening.end()
        if end - opening.start() > _LONGEST_TAG:
            parts += [markup[at : opening.end()], ">"]
        else:
            parts.append(markup[at:end])
        at = end
    return "".join([*parts, markup[at:]])
