"""``ingest/feeds.opml``, the list of public feeds that is installed with Khabar."""

from collections import Counter
from importlib import resources
from urllib.parse import urlsplit

from ingest.feeds import opml
from services.store.feeds import feed_id


async def test_the_starter_list_can_be_imported() -> None:
    """Every feed has a name, a language and its own address over HTTPS; Arabic comes first."""
    document = (resources.files("ingest") / "feeds.opml").read_bytes()
    feeds = await opml.parse(document, content_type="text/x-opml; charset=utf-8")
    assert len(feeds) >= 70
    assert [one for one in feeds if one.problems or not one.name or not one.language] == []
    assert len({feed_id(one.url) for one in feeds}) == len(feeds)
    assert all(one.url.isascii() and urlsplit(one.url).scheme == "https" for one in feeds)
    languages = Counter(one.language for one in feeds)
    assert languages["ar"] >= 30
    assert languages.keys() >= {"ar", "en", "fr", "es", "de", "ru", "fa", "ur", "tr"}
    assert feeds[0].language == "ar"
