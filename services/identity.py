"""The id of an article: the same each time it arrives, by whichever way."""

import hashlib

from services.events import ArticleIn

_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [first + second for first in _BASE32 for second in _BASE32]
_SHIFTS = range(120, -1, -10)


def article_id(article: ArticleIn) -> str:
    """26 lowercase base32 characters, computed from the source and from what identifies the article there.

    That is the guid; without a guid, the url; without a url, title, text and html together. So another text with the
    same guid (or url) is a revision of the same article.
    """
    return make_id(
        source=article.source,
        guid=article.guid,
        url=article.url,
        content=(article.title, article.text, article.html),
    )


def make_id(*, source: str | None, guid: str | None, url: str | None, content: tuple[str | None, ...]) -> str:
    """The id of an article with these parts, for input that is not a valid ``ArticleIn``."""
    if guid:
        parts: tuple[str | None, ...] = (source, "guid", guid)
    elif url:
        parts = (source, "url", url)
    else:
        parts = (source, "content", *content)
    return digest(*parts)


def digest(*parts: str | None) -> str:
    """26 lowercase base32 characters of SHA-256 over the parts; None differs from an empty part."""
    hashed = hashlib.sha256()
    for part in parts:
        if part is None:
            hashed.update(b"-")
        else:
            # The length first, so that ("ab", "c") and ("a", "bc") differ.
            encoded = part.encode("utf-8", "surrogatepass")
            hashed.update(b"%d:" % len(encoded))
            hashed.update(encoded)
    # 130 bits of 17 bytes, two characters at a time: base64.b32encode takes as long as all the rest of an id.
    number = int.from_bytes(hashed.digest()[:17], "big") >> 6
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])
