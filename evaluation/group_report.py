"""The report's sections on group: near-duplicates, stories, shards."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from enrich.fingerprint import embedding
from enrich.fingerprint.embedding import Encoder
from enrich.group.grouper import Grouper
from evaluation import (
    baselines,
    duplicates,
    grouping,
    labelled_streams,
    near_misses,
    newspapers,
    overlap,
    seeds_in_news,
    sharding,
    stories,
    titles,
)
from evaluation.report import table
from services.errors import OperatorError

# A stream and the output of group for it.
Run = tuple[Sequence[labelled_streams.Arrival], grouping.Grouped]

# Generated streams to measure group with: articles per stream, in three days, and seeds.
_ARTICLES = 2_000
_SEEDS = (1, 2, 3)
_NUMBERS = {1: "one", 2: "two", 3: "three"}


def runs(articles: int = _ARTICLES, seeds: Sequence[int] = _SEEDS) -> tuple[Run, list[Run]]:
    """seeds/ and the generated streams, grouped."""
    return _run(labelled_streams.seeds()), [_run(labelled_streams.generated(articles, seed)) for seed in seeds]


def _run(stream: Sequence[labelled_streams.Arrival]) -> Run:
    return stream, grouping.grouped(arrival.annotated for arrival in stream)


def of_duplicates(seeds: Run, generated: Sequence[Run]) -> str:
    """Near-duplicates on seeds/ and on generated streams."""
    count = _NUMBERS[len(generated)]
    tallies = {f"seed {seed}": duplicates.measure(*run) for seed, run in enumerate(generated, 1)}
    whole = duplicates.total(tallies.values())
    tallies |= {f"all {count}": whole, "`seeds/`": duplicates.measure(*seeds)}
    rows = [
        (
            name,
            tally.reported,
            tally.precision,
            *("" if (recall := tally.recall(grade)) is None else recall for grade in duplicates.GRADES),
            tally.first_seen,
        )
        for name, tally in tallies.items()
    ]
    kinds = [(kind, count, whole.false[kind]) for kind, count in sorted(whole.articles.items())]
    return "\n\n".join(
        [
            f"On {len(generated)} generated streams of {len(generated[0][0]):,} articles "
            "(docs/howto/generate-a-stream.md) and on `seeds/`. A report is correct if the article that it names is "
            "the original or another near-duplicate of the same original. `light` are near-duplicates with up to 15% "
            "of the words changed, `heavy` those with more (leads cut, paragraphs added), `copy` those of `seeds/`, "
            'where this is not labelled. "Original named" is the share of correct reports that name the true '
            "first-seen article.",
            table(("", "reported", "precision", *(f"recall, {g}" for g in duplicates.GRADES), "original named"), rows),
            f"Articles of the {count} streams that were falsely reported, by their true kind:",
            table(("kind", "articles", "false reports"), kinds),
        ]
    )


def of_newspapers(data: Path) -> str:
    """Near-duplicates among the newspapers of a folder of corpora."""
    labelled = newspapers.label(data / "saudinewsnet")
    articles = newspapers.near_duplicates(labelled)
    rows = [
        (
            f"{row.threshold:.1f}",
            sum(row.verdicts.values()),
            *(row.verdicts.get(verdict, 0) for verdict in _VERDICTS),
            row.precision,
            *(row.recall[relation] for relation in articles),
        )
        for row in newspapers.rows(labelled)
    ]
    columns = [f"recall, {relation}" for relation in articles]
    counts = ", ".join(f"{relation} {len(own)}" for relation, own in articles.items())
    return "\n\n".join(
        [
            f"On {len(labelled.articles):,} articles of Saudi newspapers (2015, twelve days). Pairs within 72 hours "
            "that share rare runs of five words were labelled by how many words of each text occur in the other, "
            "anywhere, in runs of four or more: `same` if each text has 70% of the other's words; an excerpt if the "
            "longer has 70% of the shorter one's (`excerpt`: the later article is the shorter; `enlarged`: it is the "
            "longer); `partly` from 40%. `same` and `excerpt` count as correct. Fixed phrases count like any other "
            "words; fewer than 15 common words count as none. By these labels the following numbers of articles have "
            f"an earlier one within 72 hours: {counts}.",
            table(("similarity from", "reported", *_VERDICTS, "precision", *columns), rows),
            "Twenty random pairs on which labels and reports disagreed, or nearly so, reviewed by hand (group as of "
            f"{newspapers.REVIEWED_ON}):",
            table(("label and report", "what it is", "pairs"), newspapers.REVIEWED),
        ]
    )


_VERDICTS: tuple[overlap.Verdict, ...] = ("same", "excerpt", "partly", "different")


def of_stories(seeds: Run, generated: Sequence[Run]) -> str:
    """Stories, and the baselines for comparison."""
    sets = {"`seeds/`": [seeds], "generated streams": generated}
    parts = [
        'BCubed over articles, each in its final story, after merges and splits. "Within" compares each article with '
        'those in its own language, "across" only with those in other languages. An article that was grouped with '
        "none in another language has no precision there; one that belongs with none has no recall; such articles are "
        "left out of that mean. The baselines read the same annotated articles once, in the same order: each article "
        "joins the nearest story of the last 72 hours by the cosine of its words (tf-idf) or of its entities, if that "
        "exceeds a threshold. The threshold is the best one for these very articles."
    ]
    for name, runs in sets.items():
        own = [stream for stream, _ in runs]
        methods = {
            "Khabar": stories.ours(own, [made for _, made in runs]),
            "tf-idf": stories.baseline(own, baselines.words),
            "entities": stories.baseline(own, baselines.entities),
        }
        rows = [(_named(method, made), *_bcubed(made.figures), made.stories) for method, made in methods.items()]
        ours = methods["Khabar"]
        parts += [
            f"On {name}, {stories.true_stories(own)} stories; Khabar merged {ours.merges} times and split "
            f"{ours.splits} times.",
            table(("", *_BCUBED, "stories"), rows),
        ]
    return "\n\n".join(parts)


def of_titles(data: Path) -> str:
    """Stories of real titles of a folder of corpora, in two halves."""
    arrivals = titles.stream(data)
    sets = {"default": arrivals}
    if (encoder := _encoder()) is not None:
        sets["with `KHABAR_VECTORS`"] = labelled_streams.encoded(arrivals, encoder)
    rows = []
    for use, part in _PARTS.items():
        for name, own in sets.items():
            one = part(own)
            rows.append((use, name, *_bcubed(stories.ours([one], [_run(one)[1]]).figures)))
        one = part(arrivals)
        for name, features in (("tf-idf", baselines.words), ("entities", baselines.entities)):
            made = stories.baseline([one], features)
            rows.append((use, _named(name, made), *_bcubed(made.figures)))
    return (
        f"On {len(arrivals):,} titles of OG2021 (CC BY-NC-ND 4.0), news on the Olympic Games of summer 2021 in "
        f"{len({arrival.language for arrival in arrivals})} languages, by {stories.true_stories([arrivals])} events. "
        "An article is a title alone. The events are in two halves by a hash of their names, each half a stream of its "
        "own. Weights and thresholds were chosen on the first half; the second was only measured. BCubed and baselines "
        "are as above; the threshold of a baseline is the best one for the titles that it is measured on."
        f"\n\n{table(('titles', '', *_BCUBED), rows)}"
    )


_PARTS: dict[str, Callable[[Sequence[labelled_streams.Arrival]], Sequence[labelled_streams.Arrival]]] = {
    "first half: chosen on it": partial(titles.half, number=0),
    "second half: not used": partial(titles.half, number=1),
    "all": list,
}


def of_near_misses() -> str:
    """Events with the same actors."""
    arrivals = near_misses.stream()
    sets = {"default": arrivals}
    if (encoder := _encoder()) is not None:
        sets["with `KHABAR_VECTORS`"] = tuple(labelled_streams.encoded(arrivals, encoder))
    rows = []
    for name, own in sets.items():
        outcomes = near_misses.outcomes(own)
        for languages, across in (("two languages", True), ("one language", False)):
            part = [outcome for outcome in outcomes if outcome.across == across]
            together, apart = (sum(flags) for flags in zip(*((one.together, one.apart) for one in part), strict=True))
            rows.append((name, languages, len(part), together, apart))
    return (
        "On `evaluation/gold/near_misses.jsonl`. Of each event two articles report, in two languages or in one; a "
        "third article is about another event with the same actors, in the same place, on the same day. All are "
        'grouped in one stream. "Together": the two articles are in one story. "Apart": the third is in another one. '
        "Nothing was chosen on this set; how far events must agree was chosen on six other events of this kind."
        f"\n\n{table(('', 'the two articles in', 'events', 'together', 'apart'), rows)}"
    )


def _encoder() -> Encoder | None:
    """The sentence encoder, if its package is installed."""
    try:
        return embedding.load()
    except OperatorError:
        return None


def _named(name: str, made: stories.Method) -> str:
    return name if made.threshold is None else f"{name}, from {made.threshold:.2f}"


def _bcubed(figures: stories.Figures) -> list[float]:
    return [figures[among][key] for among in stories.AMONG for key in ("precision", "recall", "f1")]


def in_news(data: Path, articles: int = seeds_in_news.ARTICLES) -> str:
    """The stories of seeds/ among newspapers of a folder of corpora."""
    without = seeds_in_news.stream(data / "saudinewsnet", articles)
    sets = {"default": without}
    if (encoder := _encoder()) is not None:
        sets["with `KHABAR_VECTORS`"] = labelled_streams.encoded(without, encoder)
    rows = [(name, *_bcubed(seeds_in_news.figures(arrivals))) for name, arrivals in sets.items()]
    return (
        f"`seeds/` among {articles:,} random articles of Saudi newspapers, BCubed over the articles of `seeds/`. Each "
        "newspaper article counts as a separate story, as if none of them were related."
        f"\n\n{table(('', *_BCUBED), rows)}"
    )


_BCUBED = [f"{part}: {figure}" for part in stories.AMONG for figure in ("P", "R", "F1")]


def of_sharding(
    seeds: Sequence[labelled_streams.Arrival],
    generated: Sequence[Sequence[labelled_streams.Arrival]],
    make: Callable[[], Grouper] = grouping.grouper,
) -> str:
    """Group in shards, simulated."""
    sent, parts = [], []
    for name, own in {"`seeds/`": [seeds], "generated streams": generated}.items():
        rows = []
        for form, how in sharding.FORMS.items():
            runs = [sharding.sharded(stream, how, make) for stream in own]
            made = stories.ours(own, [run.grouped for run in runs])
            tally = duplicates.total(
                duplicates.measure(stream, run.grouped) for stream, run in zip(own, runs, strict=True)
            )
            articles, messages = sum(run.articles for run in runs), sum(run.messages for run in runs)
            sent.append(
                (
                    f"{name}: {form}",
                    max(run.shards for run in runs),
                    sum(run.largest for run in runs) / articles,
                    tally.precision,
                    tally.found.total() / max(1, tally.labelled.total()),
                    messages / articles,
                    round(sum(run.message_bytes for run in runs) / messages) if messages else "",
                    sum(run.stitches for run in runs) / articles,
                )
            )
            rows.append((form, *_bcubed(made.figures), made.stories))
        parts += [
            f"Stories of {name} (BCubed, as above):",
            table(("", *_BCUBED, "stories"), rows),
        ]
    return "\n\n".join(
        [
            "Group in one process, and simulated in shards (docs/explanation/scaling.md). A stitcher joins stories of "
            "different shards by one vector per story, made of language-independent features; its threshold was chosen "
            "on `seeds/` and on two other generated streams. Sharding by source is included to show what it loses. "
            '"Near-duplicates found before" assumes a previous stage that finds all of them and routes each to the '
            "shard of its original. In the simulation a stitch takes effect at once.",
            table(
                (
                    "",
                    "shards",
                    "share of the largest",
                    "duplicates: P",
                    "R",
                    "messages per article",
                    "bytes per message",
                    "stitches per article",
                ),
                sent,
            ),
            *parts,
            "Near-duplicates in separate shards: each article goes to the shards of its lowest hashes (of its "
            "three-word shingles). Share of near-duplicates that meet their original there:",
            table(
                ("hashes", *(f"generated, {g}" for g in duplicates.GRADES[:-1]), "`seeds/`"),
                [
                    (hashes, *(meeting.get(g, "") for g in duplicates.GRADES[:-1]), own["copy"])
                    for hashes in _HASHES
                    for meeting, own in [(sharding.meeting(generated, hashes), sharding.meeting([seeds], hashes))]
                ],
            ),
        ]
    )


_HASHES = (1, 2, 4, 8)
