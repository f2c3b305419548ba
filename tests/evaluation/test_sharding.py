"""Shards lose what they cannot see; what they tell of their stories is enough to stitch these."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from enrich.fingerprint import features
from evaluation import bcubed, duplicates
from evaluation.grouping import grouped
from evaluation.sharding import FORMS, Message, Sharded, Stitcher, meeting, sharded
from evaluation.streams import Arrival, generated, seeds

AT = datetime(2026, 11, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def stream() -> list[Arrival]:
    """A generated stream in six languages."""
    return generated(400, 5)


def message(story: str, names: Iterable[str], at: datetime = AT, *, merged: bool = False) -> Message:
    """What a shard says of a story that has these features."""
    found = np.array([(features.number(name), 2.0) for name in names], features.PACKED)
    return Message(story, at, found, merged)


def stitcher(*said: tuple[str, Message]) -> Stitcher:
    """A stitcher that knows ten other stories and then hears this."""
    made = Stitcher()
    for number in range(10):
        made.hear(f"other {number}", message(f"other {number}", [f"e:{number}", f"n:{number}"]))
    for shard, one in said:
        made.hear(shard, one)
    return made


def found(run: Sharded, stream: list[Arrival]) -> int:
    """How many copies are found, rightly."""
    return duplicates.measure(stream, run.grouped).right


def across(run: Sharded, stream: Iterable[Arrival]) -> float:
    """BCubed recall across languages."""
    places = run.grouped.places.story_of
    return bcubed.bcubed([bcubed.Item(one.story, places[one.annotated.id], one.language) for one in stream], "across")[
        "recall"
    ]


def test_one_shard_is_group_itself(stream: list[Arrival]) -> None:
    """The same copies and the same places as without the machinery of shards, and nobody to talk to."""
    run, alone = sharded(stream, FORMS["one"]), grouped(one.annotated for one in stream)
    assert run.grouped.copies == alone.copies
    assert run.grouped.places.story_of == alone.places.story_of
    assert (run.shards, run.largest, run.stitches) == (1, len(stream), 0)


def test_copies_stay_within_a_language_and_not_within_a_source(stream: list[Arrival]) -> None:
    """Shards by language find nearly all copies that one grouper finds; shards by source lose half and more, but not
    of copies that were found before and follow their originals."""
    forms = ("one", "by language", "by source", "Arabic by source too, copies found before")
    alone, language, source, following = (found(sharded(stream, FORMS[form]), stream) for form in forms)
    assert alone > 30
    assert language >= 0.95 * alone
    assert following >= 0.95 * alone
    assert source <= 0.5 * alone


def test_copies_meet_by_few_hashes(stream: list[Arrival]) -> None:
    """The more hashes name shards, the more copies meet their originals; eight are enough for little changed ones."""
    assert meeting([stream], 8)["light"] >= 0.95
    shares = [meeting([stream], hashes)["excerpt"] for hashes in (1, 4, 16)]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]


def test_stories_meet_across_languages_by_the_stitcher_alone() -> None:
    """Without it no story has two languages; with it most that belong together are together."""
    apart, together = (sharded(seeds(), FORMS[form]) for form in ("by language, not stitched", "by language"))
    assert across(apart, seeds()) == 0.0
    assert across(together, seeds()) > 0.6
    assert 0 < together.messages <= 1.5 * len(seeds())
    assert apart.messages == 0


def test_stories_of_two_shards_that_share_what_is_rare_are_one() -> None:
    """And one that shares nothing is not, nor one that shares little, nor one of long before."""
    names = ["e:Q1", "e:Q2", "n:12"]
    made = stitcher(
        ("ar", message("a", names)),
        ("en", message("b", names)),
        ("fr", message("c", ["e:Q9", "e:Q8", "n:7"])),
        ("ru", message("d", ["e:Q1", "e:Q7", "e:Q6", "e:Q5", "n:3"])),
        ("es", message("e", names, AT - timedelta(hours=80))),
    )
    assert made.story("a") == made.story("b")
    assert len({made.story(story) for story in "acde"}) == 4
    assert made.stitches == 1


def test_what_a_shard_keeps_apart_is_not_stitched() -> None:
    """Two stories of one shard are not made one by a third in another shard that is like both."""
    names = ["e:Q1", "e:Q2", "n:12"]
    made = stitcher(("ar", message("a", names)), ("ar", message("b", names)), ("en", message("c", names)))
    assert made.story("a") != made.story("b")
    assert made.story("c") in {made.story("a"), made.story("b")}


def test_a_story_that_was_merged_makes_room() -> None:
    """What was stitched to it can be stitched to the story that took its articles."""
    names = ["e:Q1", "e:Q2", "n:12"]
    made = stitcher(
        ("ar", message("a", ["e:Q1", "n:5", "n:6", "n:7"])),
        ("ar", message("b", names)),
        ("en", message("c", names)),
        ("ar", message("b", [], merged=True)),
        ("ar", message("a", names)),
    )
    assert made.story("a") == made.story("c")
