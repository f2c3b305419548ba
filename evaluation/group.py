"""The sections on group: copies, stories, shards."""

from collections.abc import Sequence
from pathlib import Path

from enrich.fingerprint import embedding
from evaluation import baselines, crowd, duplicates, grouping, newspapers, overlap, sharding, stories, streams
from evaluation.report import table
from services.errors import OperatorError

# A stream and what it comes to when it is grouped.
Run = tuple[Sequence[streams.Arrival], grouping.Grouped]

# Generated streams to measure group with: so many articles in three days each.
_STREAM = 2_000
_STREAM_SEEDS = (1, 2, 3)


def runs() -> tuple[Run, list[Run]]:
    """seeds/ and the generated streams, grouped."""
    return _run(streams.seeds()), [_run(streams.generated(_STREAM, seed)) for seed in _STREAM_SEEDS]


def _run(stream: Sequence[streams.Arrival]) -> Run:
    return stream, grouping.grouped(arrival.annotated for arrival in stream)


def of_duplicates(seeds: Run, generated: Sequence[Run]) -> str:
    """Copies on seeds/ and on generated streams."""
    tallies = {f"seed {seed}": duplicates.measure(*run) for seed, run in zip(_STREAM_SEEDS, generated, strict=True)}
    whole = duplicates.total(tallies.values())
    tallies |= {"all three": whole, "`seeds/`": duplicates.measure(*seeds)}
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
            f"On {len(generated)} generated streams of {_STREAM:,} articles (docs/howto/generate-a-stream.md) "
            "and on `seeds/`. A report is right when the article that it names is the original of "
            "the copy or another copy of that. "
            "`light` are copies with up to 15% of the words changed, `heavy` those with more (leads cut, paragraphs "
            'added), `copy` those of `seeds/`, of which this is not labelled; "original named" is the share of right '
            "reports that name the true first-seen article.",
            table(("", "reported", "precision", *(f"recall, {g}" for g in duplicates.GRADES), "original named"), rows),
            "Articles of the three streams that were falsely reported, by what they truly are:",
            table(("kind", "articles", "false reports"), kinds),
        ]
    )


def of_newspapers(data: Path) -> str:
    """Copies among the newspapers of a folder of corpora."""
    judged = newspapers.judge(data / "saudinewsnet")
    wanted = newspapers.copies(judged)
    rows = [
        (
            f"{row.threshold:.1f}",
            sum(row.verdicts.values()),
            *(row.verdicts.get(verdict, 0) for verdict in _VERDICTS),
            row.precision,
            *(row.recall[relation] for relation in wanted),
        )
        for row in newspapers.rows(judged)
    ]
    columns = [f"recall, {relation}" for relation in wanted]
    counts = ", ".join(f"{relation} {len(own)}" for relation, own in wanted.items())
    return "\n\n".join(
        [
            f"On {len(judged.articles):,} articles of Saudi newspapers (2015, twelve days). Pairs within 72 hours that "
            "share rare runs of five words were labelled by the words of either text that stand in the other, "
            "anywhere, in runs of four and more: `same` when each text has 70% of the other's words; an excerpt when "
            "the longer has 70% of the shorter one's (`excerpt`: the later article is the shorter; `enlarged`: it is "
            "the longer); `partly` from 40% on. Same and excerpt count as right. Set phrases count as what they are, "
            "the same words; fewer than 15 words in common count as none. By these labels so many articles have an "
            f"earlier one within 72 hours: {counts}.",
            table(("similarity from", "reported", *_VERDICTS, "precision", *columns), rows),
            "Twenty pairs on which labels and reports disagreed, or nearly so, drawn by chance and read by hand, as "
            f"group was on {newspapers.READ_ON}:",
            table(("what they said", "what it is", "pairs"), newspapers.READ),
        ]
    )


_VERDICTS: tuple[overlap.Verdict, ...] = ("same", "excerpt", "partly", "different")


def of_stories(seeds: Run, generated: Sequence[Run]) -> str:
    """Stories, and baselines beside ours."""
    sets = {"`seeds/`": [seeds], "generated streams": generated}
    parts = [
        "BCubed over articles, each in the story that it was in at the end, merged and split stories followed. Within "
        "one language each article is compared with those in its own language, across languages with those in others "
        "only; an article that was put together with none in another language has no precision there, one that belongs "
        "with none has no recall, and is left out of that mean. The baselines read the same annotated articles in the "
        "same order, once: each article joins the nearest story of the last 72 hours by the cosine of its words "
        "(tf-idf) or of its entities, if that is above a threshold, which is the best for these very articles."
    ]
    for name, runs in sets.items():
        own = [stream for stream, _ in runs]
        methods = {
            "Khabar": stories.ours(own, [made for _, made in runs]),
            "tf-idf": stories.baseline(own, baselines.words),
            "entities": stories.baseline(own, baselines.entities),
        }
        rows = [
            (
                method if (threshold := made.threshold) is None else f"{method}, from {threshold:.2f}",
                *(made.figures[among][key] for among in stories.AMONG for key in ("precision", "recall", "f1")),
                made.stories,
            )
            for method, made in methods.items()
        ]
        ours = methods["Khabar"]
        parts += [
            f"On {name}, {stories.true_stories(own)} stories; ours were merged {ours.merges} times, "
            f"split {ours.splits} times.",
            table(("", *(f"{part} {figure}" for part in _PARTS for figure in ("P", "R", "F1")), "stories"), rows),
        ]
    return "\n\n".join(parts)


def in_a_crowd(data: Path) -> str:
    """The stories of seeds/ among newspapers of a folder of corpora."""
    without = crowd.stream(data / "saudinewsnet")
    sets = {"by entities, numbers and words": without}
    try:
        encoder = embedding.load()
    except OperatorError:
        encoder = None
    if encoder is not None:
        sets["with sentence vectors"] = crowd.encoded(without, encoder)
    rows = []
    for name, arrivals in sets.items():
        found = crowd.figures(arrivals)
        rows.append((name, *(found[among][key] for among in stories.AMONG for key in ("precision", "recall", "f1"))))
    return (
        f"`seeds/` among {crowd.ARTICLES:,} articles of Saudi newspapers drawn by chance, BCubed over the articles of "
        "`seeds/`. Each of the crowd is a story of its own, as if none of them had anything to do with another."
        f"\n\n{table(('', *(f'{part} {figure}' for part in _PARTS for figure in ('P', 'R', 'F1'))), rows)}"
    )


_PARTS = ("all:", "within:", "across:")


def of_sharding(seeds: Sequence[streams.Arrival], generated: Sequence[Sequence[streams.Arrival]]) -> str:
    """Group in shards, simulated."""
    sent, parts = [], []
    for name, own in {"`seeds/`": [seeds], "generated streams": generated}.items():
        rows = []
        for form, how in sharding.FORMS.items():
            runs = [sharding.sharded(stream, how) for stream in own]
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
                    tally.found.total() / tally.copies.total(),
                    messages / articles,
                    round(sum(run.message_bytes for run in runs) / messages) if messages else "",
                    sum(run.stitches for run in runs) / articles,
                )
            )
            figures = (made.figures[among][key] for among in stories.AMONG for key in ("precision", "recall", "f1"))
            rows.append((form, *figures, made.stories))
        parts += [
            f"Stories of {name} (BCubed, as above):",
            table(("", *(f"{part} {figure}" for part in _PARTS for figure in ("P", "R", "F1")), "stories"), rows),
        ]
    return "\n\n".join(
        [
            "Group in one process and simulated in shards (docs/explanation/scaling.md). A stitcher joins stories of "
            "different shards by one vector a story, of what all languages share; its threshold was chosen on "
            "`seeds/` and on two other generated streams. Sharded by source, group loses what it is for: it is here to "
            "show that. "
            "Copies found before: as if a stage before knew them all, each goes where its original went. In the "
            "simulation a stitch takes effect at once.",
            table(
                (
                    "",
                    "shards",
                    "share of the largest",
                    "duplicates: P",
                    "R",
                    "messages an article",
                    "bytes a message",
                    "stitches an article",
                ),
                sent,
            ),
            *parts,
            "Duplicates in shards of their own: each article goes to the shards that the lowest of its hashes (those "
            "of its three-word shingles) name. So many copies meet their original there:",
            table(
                ("hashes", *(f"generated, {g}" for g in duplicates.GRADES[:-1]), "`seeds/`"),
                [
                    (hashes, *(meeting[g] for g in duplicates.GRADES[:-1]), own["copy"])
                    for hashes in _HASHES
                    for meeting, own in [(sharding.meeting(generated, hashes), sharding.meeting([seeds], hashes))]
                ],
            ),
        ]
    )


_HASHES = (1, 2, 4, 8)
