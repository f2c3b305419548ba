"""Which article an entry of a feed is: its key within the feed, its id, and what was seen before.

An entry's **key** is its guid; a guid that several entries of the feed share is no identity, then guid and link
together are; without a guid the link is, unless several entries share it; else the content is. Its **id** is computed
when the key is first seen, and remembered with it:

- from the host of the feed, the guid and the link: feeds of one host that have the same entry give one article, and
  two entries of these feeds that happen to have the same guid do not
- from the feed and the guid, when there is no link or several entries share it
- from the source and the link, when there is no guid: as that of a push with this URL
- from the feed and the content, else

So a known guid with another link is a revision of the same article.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from services.identity import digest, make_id
from services.store.feeds import Feed

# Entries that are no longer in the document are remembered: this many, and as many again as the document has now.
MAX_FORMER: Final = 500
# Days after which an entry that is no longer in the document is forgotten.
FORMER_DAYS: Final = 30

_KEY, _ID, _CONTENT, _DAY = 16, 26, 16, 4
_WIDTH = _KEY + _ID + _CONTENT + _DAY
# Of what is stored, the first characters are the number of entries of the last document.
_COUNT = 4
# In the place of an id: the guid or link is shared by several entries.
_SHARED = "-" * _ID

# A line of a page that counts its readers, in any language of the web's publishing software that is common in feeds.
_MAX_LABEL_WORDS = 6
_COUNTED = re.compile(
    r"(?i)\b(?:views?|reads?|readers?|hits|clicks?|comments?|repl(?:y|ies)|likes?|vues?|lectures?|commentaires?"
    r"|vistas?|visitas?|lecturas?|comentarios?|aufrufe|kommentare?|gelesen|просмотр\w*|комментари\w*|прочтени\w*"
    r"|okunma|görüntülenme|yorum|بازدید|نظرات|دیدگاه|تبصرے"
    r"|(?:ال)?(?:مشاهدات?|مشاهدة|قراءات?|قراءة|زيارات?|زيارة|تعليقات?|تعليق|إعجابات?|اعجابات?|قراء|زوار))\b"
)
_BLOCK = re.compile(
    r"(?i)</?(?:address|article|aside|blockquote|br|center|dd|div|dl|dt|figcaption|figure|footer|h[1-6]|header|hr|li"
    r"|main|nav|ol|p|pre|section|table|tbody|td|tfoot|th|thead|tr|ul)\b[^<>]*>"
)
_TAG = re.compile(r"<[^<>]*>")
_DIGITS = re.compile(r"\d+")


class Entry(Protocol):
    """What decides on the identity of an entry."""

    @property
    def guid(self) -> str | None: ...  # noqa: D102
    @property
    def url(self) -> str | None: ...  # noqa: D102
    @property
    def title(self) -> str | None: ...  # noqa: D102
    @property
    def html(self) -> str | None: ...  # noqa: D102
    @property
    def text(self) -> str | None: ...  # noqa: D102


class Identity(NamedTuple):
    """``key``: of the entry within its feed. ``id``: of its article. ``content``: a hash of what makes a revision.

    ``known``: this content of the article was seen before, or is in the document already.
    """

    key: str
    id: str
    content: str
    known: bool


@dataclass(slots=True)
class _Seen:
    id: str
    content: str
    day: int


class Seen:
    """The entries of a feed that were seen, with their ids and contents. Those of the last document are at the end."""

    def __init__(self, stored: str = "", *, day: int = 0) -> None:
        """``stored``: what ``encode`` returned. ``day``: today, as days since 1970."""
        self._entries: dict[str, _Seen] = {}
        for at in range(_COUNT, len(stored) - _WIDTH + 1, _WIDTH):
            record = stored[at : at + _WIDTH]
            key, article, content = record[:_KEY], record[_KEY:][:_ID], record[_KEY + _ID :][:_CONTENT]
            self._entries[key] = _Seen(article, content, int(record[-_DAY:], 16))
        self._by_id = {one.id: key for key, one in self._entries.items() if one.id != _SHARED}
        self._in_document = int(stored[:_COUNT] or "0", 16)
        # They were in the document until now, also if that has not changed for weeks.
        for key in [*self._entries][len(self._entries) - self._in_document :]:
            self._entries[key].day = day

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: str, article_id: str) -> _Seen | None:
        """The entry with this key, or else with this id."""
        found = self._entries.get(key)
        if found is None and article_id in self._by_id:
            found = self._entries.get(self._by_id[article_id])
        return found

    def unchanged(self, content: str, article_ids: Iterable[str]) -> _Seen | None:
        """The first of these articles that has this content: the entry's key has changed, and nothing else."""
        for key in filter(None, map(self._by_id.get, article_ids)):
            if self._entries[key].content == content:
                return self._entries[key]
        return None

    def put(self, identity: Identity, *, day: int) -> None:
        """Remember an entry, as of a day (days since 1970)."""
        former = self._by_id.get(identity.id)
        if former is not None and former != identity.key:
            del self._entries[former]
        self._put(identity.key, _Seen(identity.id, identity.content, day))
        self._by_id[identity.id] = identity.key

    def is_shared(self, key: str) -> bool:
        """Whether several entries were seen to share the guid or link with this key."""
        found = self._entries.get(key)
        return found is not None and found.id == _SHARED

    def share(self, key: str, *, day: int) -> None:
        """Remember that several entries share the guid or link with this key."""
        found = self._entries.get(key)
        if found is not None and found.id != _SHARED:
            # Its article is still found by its id: under a key that no entry has.
            moved = digest("former", found.id)[:_KEY]
            self._put(moved, found)
            self._by_id[found.id] = moved
        self._put(key, _Seen(_SHARED, "-" * _CONTENT, day))

    def keep(self, *, document: int, whole: bool, day: int) -> None:
        """Drop what is no longer needed; ``document``: the number of entries that were put last, which are not dropped.

        ``whole``: they are a whole document; otherwise those of the last document are kept too.
        """
        document = min(document if whole else document + self._in_document, len(self._entries), 16**_COUNT - 1)
        former = len(self._entries) - document
        most = MAX_FORMER + document
        for place, key in enumerate([*self._entries][:former]):
            if place < former - most or self._entries[key].day < day - FORMER_DAYS:
                self._by_id.pop(self._entries[key].id, None)
                del self._entries[key]
        self._in_document = document

    def encode(self) -> str:
        """As text: 62 bytes an entry."""
        entries = (f"{key}{one.id}{one.content}{one.day:04x}" for key, one in self._entries.items())
        return f"{self._in_document:04x}{''.join(entries)}"

    def _put(self, key: str, seen: _Seen) -> None:
        self._entries.pop(key, None)
        self._entries[key] = seen


def identify(entries: Sequence[Entry], seen: Seen, feed: Feed, *, day: int) -> list[Identity]:
    """The identity of each entry of a document of a feed. Takes long for a large document.

    ``day``: days since 1970. Notes in ``seen`` which guids and links are shared, but not the entries.
    """
    host, source = feed.options.host, feed.options.source_name
    contents = [_content(entry) for entry in entries]
    # An entry that is listed twice, without a difference, shares nothing with itself.
    distinct = {(entry.guid, entry.url, content): entry for entry, content in zip(entries, contents, strict=True)}
    shared_guids = _shared((_key("guid", one.guid) for one in distinct.values() if one.guid), seen, day)
    shared_urls = _shared((_key("url", one.url) for one in distinct.values() if one.url), seen, day)
    both = (_key("guid", one.guid, "url", one.url) for one in distinct.values() if one.guid and one.url)
    shared_pairs = {key for key, times in Counter(both).items() if times > 1}

    found: list[Identity] = []
    keys: set[str] = set()
    for entry, content in zip(entries, contents, strict=True):
        guid, url = entry.guid, entry.url
        unique_url = bool(url) and _key("url", url) not in shared_urls
        pair = _key("guid", guid, "url", url)
        if guid and (key := _key("guid", guid)) not in shared_guids:
            made = _of_guid(host, guid, url) if unique_url else digest("feed", feed.id, "guid", guid)
        elif guid and url and pair not in shared_pairs:
            key, made = pair, _of_guid(host, guid, url)
        elif not guid and unique_url:
            key, made = _key("url", url), make_id(source=source, guid=None, url=url, content=())
        else:
            key, made = _key("content", content), digest("feed", feed.id, "content", content)
        before = seen.find(key, made) or seen.unchanged(content, _former_ids(entry, feed.id, host, source))
        article_id = made if before is None else before.id
        known = key in keys or (before is not None and before.content == content)
        keys.add(key)
        found.append(Identity(key, article_id, content, known))
    return found


def _shared(keys: Iterable[str], seen: Seen, day: int) -> set[str]:
    """Those of the keys that several entries have, now or earlier."""
    counted = Counter(keys)
    shared = {key for key, times in counted.items() if times > 1 or seen.is_shared(key)}
    for key in sorted(shared):
        seen.share(key, day=day)
    return shared


def _former_ids(entry: Entry, feed: str, host: str, source: str) -> Iterator[str]:
    """The ids that an entry may have had while others did not share its guid or link."""
    if entry.guid:
        yield _of_guid(host, entry.guid, entry.url)
        yield digest("feed", feed, "guid", entry.guid)
    elif entry.url:
        yield make_id(source=source, guid=None, url=entry.url, content=())


def _of_guid(host: str, guid: str, url: str | None) -> str:
    return digest(host, "guid", guid, "url", url)


def _key(*parts: str | None) -> str:
    return digest(*parts)[:_KEY]


def _content(entry: Entry) -> str:
    html = None if entry.html is None else without_counters(_TAG.sub("", _BLOCK.sub("\n", entry.html)))
    text = None if entry.text is None else without_counters(entry.text)
    return digest(entry.title, html, text, entry.url)[:_CONTENT]


def without_counters(text: str) -> str:
    """The text, with 0 for the numbers in its lines of at most 6 words that count readers, comments or the like.

    Such a counter changes at each poll, and its change is no revision. All other numbers stay.
    """
    if not _DIGITS.search(text):
        return text
    return "\n".join(
        _DIGITS.sub("0", line)
        if len(line.split(None, _MAX_LABEL_WORDS)) <= _MAX_LABEL_WORDS and _COUNTED.search(line)
        else line
        for line in text.split("\n")
    )
