"""Which article an entry of a feed is, and what is remembered of it."""

import dataclasses
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.feeds.identity import FORMER_DAYS, MAX_FORMER, Identity, Seen, identify, without_counters
from services.events import ArticleIn
from services.identity import article_id
from services.store.feeds import Feed, FeedOptions

DAY = 20_000


@dataclass(frozen=True)
class Entry:
    """An entry of a feed."""

    guid: str | None = None
    url: str | None = None
    title: str | None = None
    html: str | None = None
    text: str | None = "text"


def feed(url: str = "https://news.example/rss", **options: str) -> Feed:
    """A feed."""
    made = FeedOptions(url=url, **options)
    return Feed(id=made.id, options=made)


class Reader:
    """Reads one document of a feed after the other, and remembers them as the poller does."""

    def __init__(self, of: Feed | None = None) -> None:
        self.feed = of or feed()
        self.stored = ""

    def read(self, *entries: Entry, day: int = DAY, whole: bool = True) -> list[Identity]:
        """The identities of the entries of a document."""
        seen = Seen(self.stored, day=day)
        found = identify(entries, seen, self.feed, day=day)
        for identity in reversed(found):
            seen.put(identity, day=day)
        seen.keep(document=len({one.key for one in found}), whole=whole, day=day)
        self.stored = seen.encode()
        return found


def ids(found: list[Identity]) -> list[str]:
    """The ids of the articles."""
    return [one.id for one in found]


def known(found: list[Identity]) -> list[bool]:
    """Which entries are known."""
    return [one.known for one in found]


ENTRIES = (
    Entry("g1", "https://a.example/1"),
    Entry("g2", None),
    Entry(None, "https://a.example/3"),
    Entry(None, None, "title", text="four"),
    Entry("shared", "https://a.example/5", text="five"),
    Entry("shared", "https://a.example/6", text="six"),
    Entry("shared", None, text="seven"),
    Entry("g8", "https://a.example/all", text="eight"),
    Entry("g9", "https://a.example/all", text="nine"),
    Entry(None, "https://a.example/all", text="ten"),
    Entry("twice", "https://a.example/11", text="eleven"),
    Entry("twice", "https://a.example/11", text="twelve"),
)


def test_all_entries_are_articles_once() -> None:
    """Whatever they share, each has its own id; read again, in any order and number, all are known."""
    reader = Reader()
    first = reader.read(*ENTRIES)
    assert len(set(ids(first))) == len(ENTRIES)
    assert not any(known(first))
    again = reader.read(*reversed(ENTRIES), ENTRIES[0])
    assert all(known(again))
    assert ids(again)[-2::-1] == ids(first)
    for entry, identity in zip(ENTRIES, first, strict=True):
        (alone,) = reader.read(entry)
        assert (alone.id, alone.known) == (identity.id, True)


def test_a_known_guid_is_its_article() -> None:
    """Another link, text or title is a revision of the same article."""
    reader = Reader()
    entry = Entry("g", "https://a.example/1", "title")
    (first,) = reader.read(entry)
    for change in ({"url": "https://a.example/2"}, {"url": None}, {"text": "new"}, {"title": "new"}):
        (changed,) = reader.read(dataclasses.replace(entry, **change))
        assert (changed.id, changed.known) == (first.id, False)


def test_feeds_of_one_host() -> None:
    """Guid and link together are one article in all feeds of a host; a guid alone is one only within its feed."""
    one, two = Reader(feed("https://a.example/1")), Reader(feed("https://a.example/2"))
    elsewhere = Reader(feed("https://b.example/1"))
    assert ids(one.read(Entry("1", "https://a.example/x"))) == ids(two.read(Entry("1", "https://a.example/x")))
    assert ids(one.read(Entry("2", "https://a.example/x"))) != ids(two.read(Entry("2", "https://a.example/y")))
    assert ids(one.read(Entry("3"))) != ids(two.read(Entry("3")))
    assert ids(one.read(Entry("4", "https://a.example/x"))) != ids(elsewhere.read(Entry("4", "https://a.example/x")))
    # A link that all entries share, such as that of the home page, does not tell which article a guid is.
    home = [Entry(guid, "https://a.example/") for guid in ("5", "6")]
    assert not set(ids(one.read(*home))) & set(ids(two.read(*home)))


def test_a_link_alone_has_the_id_of_a_push() -> None:
    """Also with a name that the user chose for the source."""
    for reader, source in ((Reader(), "news.example"), (Reader(feed(source="أخبار")), "أخبار")):
        (found,) = reader.read(Entry(None, "https://a.example/1"))
        assert found.id == article_id(ArticleIn(text="other", url="https://a.example/1", source=source))


def test_ids_do_not_change() -> None:
    """They are stored in many places."""
    found = Reader().read(*ENTRIES[:4])
    assert ids(found) == [
        "3yzsbo3mg2a7h7brkajgsvtkl3",
        "xoree7hmwtufvq6i33ihvvprkx",
        "q3oqfgma77wjjk5dt65qobo2lr",
        "p5uqbuaelbb7tcvumfsiyclhjo",
    ]


def test_a_guid_that_becomes_shared() -> None:
    """The entry that had it keeps its article, and what was shared once stays so."""
    reader = Reader()
    (first,) = reader.read(Entry("g", "https://a.example/1", text="one"))
    second = reader.read(Entry("g", "https://a.example/2", text="two"), Entry("g", "https://a.example/1", text="one"))
    assert (second[1].id, second[1].known) == (first.id, True)
    assert (second[0].id != first.id, second[0].known) == (True, False)
    (third,) = reader.read(Entry("g", "https://a.example/3", text="three"))
    assert third.id not in {first.id, second[0].id}


def test_what_has_left_the_document_is_remembered_for_a_while() -> None:
    """By number and by days. What was in the document until now is never too old, however long it did not change."""
    reader = Reader()
    old = [Entry(f"old-{number}") for number in range(10)]
    reader.read(*old)
    reader.read(Entry("new"), day=DAY + 3 * FORMER_DAYS)
    assert all(known(reader.read(*old, day=DAY + 3 * FORMER_DAYS + 1)))
    reader.read(Entry("new"), day=DAY + 3 * FORMER_DAYS + 2)
    reader.read(Entry("new"), day=DAY + 5 * FORMER_DAYS)
    assert not any(known(reader.read(*old, day=DAY + 5 * FORMER_DAYS)))


def test_memory_is_bounded() -> None:
    """62 bytes an entry, for those of the document and some of those before."""
    reader = Reader()
    for number in range(40):
        reader.read(*(Entry(f"{number}-{one}") for one in range(100)))
    assert len(reader.stored) == 4 + 62 * (100 + 100 + MAX_FORMER)


def test_a_delivery_of_some_entries_keeps_the_others() -> None:
    """What WebSub delivers is not the whole document: the entries of the last document are kept, whatever their age."""
    reader = Reader()
    document = [Entry(f"{number}") for number in range(MAX_FORMER + 300)]
    reader.read(*document)
    for number in range(10):
        reader.read(Entry(f"pushed-{number}"), day=DAY + number, whole=False)
    assert all(known(reader.read(*document, day=DAY + 2 * FORMER_DAYS)))


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("نص طويل عن الحدث.\nعدد المشاهدات: 120", "نص طويل عن الحدث.\nعدد المشاهدات: 1,135", False),
        ("نص طويل عن الحدث.\nعدد المشاهدات: 120", "نص طويل عن الحدث.\nعدد المشاهدات: 135", True),
        ("Comments (12)", "Comments (9)", True),
        ("Views: ١٢", "Views: ٤٥", True),
        ("The dollar: 48", "The dollar: 49", False),
        ("USD\n3.75", "USD\n3.76", False),
        (
            "About 120 comments reached the ministry within hours",
            "About 140 comments reached the ministry within hours",
            False,
        ),
    ],
)
def test_counters(before: str, after: str, same: bool) -> None:
    """Only the numbers of short lines that count readers, comments and the like are ignored."""
    reader = Reader()
    reader.read(Entry("g", text=before))
    assert known(reader.read(Entry("g", text=after))) == [same]
    html = Entry("h", text=None, html="<p>" + before.replace("\n", "</p><p>"))
    reader.read(html)
    changed = dataclasses.replace(html, html="<p>" + after.replace("\n", "</p><p>"))
    assert known(reader.read(changed)) == [same]


@given(st.lists(st.builds(Entry, *(st.sampled_from([None, "", "a", "b"]),) * 5), max_size=8))
def test_every_document_is_known_the_second_time(entries: list[Entry]) -> None:
    """Whatever guids, links and texts it repeats; and only entries without any difference are one article."""
    reader = Reader()
    first = reader.read(*entries)
    assert len({one.id for one in first}) == len(set(map(different, entries)))
    assert all(known(reader.read(*entries)))


def different(entry: Entry) -> tuple[str | None, ...]:
    """What makes an entry another one."""
    return (entry.guid or None, entry.url or None, entry.title, entry.html, entry.text)


def test_other_numbers_stay() -> None:
    """The text is otherwise the same."""
    assert without_counters("1 view\n2 men\n") == "0 view\n2 men\n"
