"""Shards lose what they cannot see; their messages are enough to join stories of different shards."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from enrich.fingerprint import features
from evaluation import bcubed, duplicates
from evaluation.grouping import grouped, small_grouper
from evaluation.labelled_streams import Arrival, generated, seeds
from evaluation.sharding import FORMS, Message, Sharded, Stitcher, meeting, sharded

AT = datetime(2026, 11, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def stream() -> list[Arrival]:
    """A generated stream in six languages."""
    return generated(400, 5)


def message(story: str, names: Iterable[str], at: datetime = AT, *, merged: bool = False) -> Message:
    """A shard's message about a story with these features."""
    found = np.array([(features.number(name), 2.0) for name in names], features.PACKED)
    return Message(story, at, found, merged)


def stitcher(*messages: tuple[str, Message]) -> Stitcher:
    """A stitcher that has ten other stories and then applies these messages."""
    made = Stitcher()
    for number in range(10):
        made.apply(f"other {number}", message(f"other {number}", [f"e:{number}", f"n:{number}"]))
    for shard, one in messages:
        made.apply(shard, one)
    return made


def found(run: Sharded, stream: list[Arrival]) -> int:
    """The number of correct reports."""
    return duplicates.measure(stream, run.grouped).correct


def across(run: Sharded, stream: Iterable[Arrival]) -> float:
    """BCubed recall across languages."""
    story_of = run.grouped.membership.story_of
    return bcubed.bcubed(
        [bcubed.Item(one.story, story_of[one.annotated.id], one.language) for one in stream], "across"
    )["recall"]


def test_one_shard_gives_the_result_of_group(stream: list[Arrival]) -> None:
    """One shard gives the same reports and stories as group alone, and no stitches."""
    run, alone = sharded(stream, FORMS["one"], small_grouper), grouped((one.annotated for one in stream), small_grouper)
    assert run.grouped.reports == alone.reports
    assert run.grouped.membership.story_of == alone.membership.story_of
    assert (run.shards, run.largest, run.stitches) == (1, len(stream), 0)


def test_near_duplicates_are_found_by_language_but_not_by_source(stream: list[Arrival]) -> None:
    """Shards by language find nearly all near-duplicates that one grouper finds; shards by source lose half or more,
    unless near-duplicates were found before and follow their originals."""
    forms = ("one", "by language", "by source", "Arabic by source too, near-duplicates found before")
    alone, language, source, following = (found(sharded(stream, FORMS[form], small_grouper), stream) for form in forms)
    assert alone > 30
    assert language >= 0.95 * alone
    assert following >= 0.95 * alone
    assert source <= 0.5 * alone


def test_near_duplicates_meet_by_few_hashes(stream: list[Arrival]) -> None:
    """More hashes let more near-duplicates meet their originals; eight are enough for lightly changed ones."""
    assert meeting([stream], 8)["light"] >= 0.95
    shares = [meeting([stream], hashes)["excerpt"] for hashes in (1, 4, 16)]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]


def test_only_the_stitcher_joins_stories_across_languages() -> None:
    """Without it no story has two languages; with it most articles that belong together are together."""
    apart, together = (
        sharded(seeds(), FORMS[form], small_grouper) for form in ("by language, not stitched", "by language")
    )
    assert across(apart, seeds()) == 0.0
    assert across(together, seeds()) > 0.6
    assert 0 < together.messages <= 1.5 * len(seeds())
    assert apart.messages == 0


def test_stories_of_two_shards_that_share_rare_features_are_joined() -> None:
    """Stories that share nothing or little, or that are much older, are not joined."""
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


def test_stories_of_one_shard_are_not_joined() -> None:
    """Two stories of one shard are not joined through a similar third story in another shard."""
    names = ["e:Q1", "e:Q2", "n:12"]
    made = stitcher(("ar", message("a", names)), ("ar", message("b", names)), ("en", message("c", names)))
    assert made.story("a") != made.story("b")
    assert made.story("c") in {made.story("a"), made.story("b")}


def test_a_merged_story_leaves_its_joined_story() -> None:
    """A story that was joined with it can be joined with the story that took over its articles."""
    names = ["e:Q1", "e:Q2", "n:12"]
    made = stitcher(
        ("ar", message("a", ["e:Q1", "n:5", "n:6", "n:7"])),
        ("ar", message("b", names)),
        ("en", message("c", names)),
        ("ar", message("b", [], merged=True)),
        ("ar", message("a", names)),
    )
    assert made.story("a") == made.story("c")
