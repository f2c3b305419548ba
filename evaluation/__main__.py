"""``python -m evaluation [--data DIR] [--samples DIR] [--output FILE]``: measure, print, write docs/evaluation.md.

DIR of ``--data`` holds the public corpora by name (``anercorp/``, ``antcorpus/``, ``saudinewsnet/``); they may not be
shipped. DIR of ``--samples`` holds articles as .txt with a ``gold.json``. What is not there is not measured, and its
section stays as it was.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from enrich import recognition, vectors
from evaluation import (
    baselines,
    cleaning,
    corpora,
    crowd,
    duplicates,
    grouping,
    language,
    linking,
    mentions,
    ner,
    newspapers,
    overlap,
    quotes,
    report,
    samples,
    sharding,
    stories,
    streams,
    topics,
)
from evaluation.report import table
from services.errors import OperatorError

# A stream and what it comes to when it is grouped.
Run = tuple[Sequence[streams.Arrival], grouping.Grouped]

DOCUMENT = Path(__file__).parent.parent / "docs" / "evaluation.md"
PREFACE = """# Evaluation

How good the enrichment is. `make evaluate` measures all of it again and writes this page; sections that need corpora
which may not be shipped are measured where `make evaluate DATA=DIR` names them, and stay as they are otherwise.
Precision is the share of what was found that is right, recall the share of what there is that was found, F1 their
harmonic mean. `seeds/` and `evaluation/gold/` were written and labelled for this project by the same hands that wrote
the code; where they were also looked at while rules were written, the section says so.
"""


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), help="folder of public corpora")
@click.option("--samples", "labelled", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--ner", "tier", default="default", help="tier of recognition to measure besides the default")
@click.option("--ner-model", type=click.Path(path_type=Path, exists=True), help="model of the quality tier")
@click.option("--output", type=click.Path(path_type=Path), default=DOCUMENT, show_default="docs/evaluation.md")
def main(data: Path | None, labelled: Path | None, tier: str, ner_model: Path | None, output: Path) -> None:
    """Measure everything that can be measured here."""
    seeds, generated = _run(streams.seeds()), [_run(streams.generated(_STREAM, seed)) for seed in _STREAM_SEEDS]
    measured: dict[str, str | None] = {
        "Cleaning": _cleaning(),
        "Cleaning on real news": _of_corpus(_harm, data, "saudinewsnet"),
        "Language": _language(),
        "Entities": _of_corpus(_entities, data, "anercorp"),
        "Mentions": _mentions(),
        "Linking": _linking("articles of seeds/", samples.seeds()),
        "Linking on other articles": _linking("other articles", samples.folder(labelled)) if labelled else None,
        "Topics": _topics(),
        "Topics on a corpus": _of_corpus(_topics_of_corpus, data, "antcorpus"),
        "Quotations": _quotes(),
        "Duplicates": _duplicates(seeds, generated),
        "Duplicates on real news": _of_corpus(_duplicates_of_newspapers, data, "saudinewsnet"),
        "Stories": _stories(seeds, generated),
        "Stories among real news": _of_corpus(_stories_in_a_crowd, data, "saudinewsnet"),
        "Sharding": _sharding(seeds[0], [stream for stream, _ in generated]),
    }
    if data is not None and tier != "default":
        measured[f"Entities, {tier} tier"] = _recognised(recognition.load(tier, ner_model), data)
    for title, body in measured.items():
        sys.stdout.write(f"\n## {title}\n\n{body or '(not measured: its data is not here)'}\n")
    report.write(output, PREFACE, measured)


def _of_corpus(section: Callable[[Path], str], data: Path | None, corpus: str) -> str | None:
    return section(data) if data is not None and (data / corpus).exists() else None


def _cleaning() -> str:
    glued, days = cleaning.glued(), cleaning.day_mentions()
    first, warm = cleaning.boilerplate(), cleaning.boilerplate(warm=True)
    return "\n\n".join(
        [
            f"Glued words in `seeds/`: {glued['found']} of {glued['found'] + glued['missed']} split, "
            f"{glued['harmed']} of {glued['words']} others harmed.",
            table(
                ("", "precision", "recall", "right", "extra", "missed"),
                [
                    ("boilerplate lines in `seeds/`, each article seen once", *_counts(first)),
                    ("the same, when their sources are known", *_counts(warm)),
                    ("dates in `evaluation/gold/dates.jsonl` (rules were written with them)", *_counts(days)),
                ],
            ),
        ]
    )


def _counts(figures: dict[str, Any]) -> tuple[Any, ...]:
    return figures["precision"], figures["recall"], figures["hits"], figures["extra"], figures["missed"]


def _harm(data: Path) -> str:
    figures = cleaning.harm(corpora.newspaper_texts(data / "saudinewsnet"))
    return (
        f"In {figures['words']:,} words of Saudi newspapers (2015) {figures['changed']} tokens were split, "
        f"{figures['changed'] / figures['words'] * 100_000:.0f} in 100,000."
    )


def _language() -> str:
    figures = language.measure()
    kinds = [(kind, figures["texts"][kind], share) for kind, share in figures["kinds"].items()]
    languages = sorted(figures["languages"]["title"])
    rows = [(kind, *(figures["languages"][kind].get(code, "") for code in languages)) for kind in ("article", "title")]
    return "\n\n".join(
        [
            "The share of `evaluation/gold/languages.jsonl` that is told right; thresholds were chosen with it.",
            table(("kind", "texts", "right"), kinds),
            table(("", *languages), rows),
        ]
    )


def _entities(data: Path) -> str:
    intro = (
        "Names by exact words and type on the last eighth of ANERcorp's train part, which neither the network nor its "
        "teachers have seen. Particles count as part of a word there, as in the literature."
    )
    return f"{intro}\n\n{_recognised(recognition.load(), data)}"


def _recognised(recognizer: recognition.Recognizer, data: Path) -> str:
    figures = ner.measure(recognizer, data)
    rows = [(kind, round(f["count"]), f["precision"], f["recall"], f["f1"]) for kind, f in figures.items()]
    return table(("type", "names", "precision", "recall", "F1"), rows)


def _mentions() -> str:
    rows = [
        (language, round(f["count"]), f["precision"], f["recall"], f["f1"])
        for language, f in mentions.measure(samples.seeds()).items()
    ]
    return "\n\n".join(
        [
            "All that `seeds/` names, invented people and places included, by exact text and type, after "
            "recognition, matching and linking.",
            table(("language", "mentions", "precision", "recall", "F1"), rows),
        ]
    )


def _linking(name: str, labelled: tuple[samples.Sample, ...]) -> str:
    figures = linking.measure(labelled)
    rows = [(f"{len(labelled)} {name}", figures["pairs"], figures["precision"], figures["recall"])]
    return "\n\n".join(
        [
            "Pairs of article and Wikidata id; an id given to what the labels leave without one is not judged "
            f"({figures['unjudged']}).",
            table(("", "pairs", "precision", "recall"), rows),
        ]
    )


def _topics() -> str:
    figures = topics.measure_seeds()
    rows = [
        (level, average, *(figures[key][average][name] for name in ("precision", "recall", "f1")))
        for key, level in (("top", "upper level"), ("second", "second level"))
        for average in ("micro", "macro")
    ]
    languages = figures["top"]["languages"]
    return "\n\n".join(
        [
            "On `seeds/`, which were labelled before the vocabulary was written, by the same hand.",
            table(("", "average", "precision", "recall", "F1"), rows),
            table(("upper level, micro F1", *languages), [("", *(one["f1"] for one in languages.values()))]),
        ]
    )


def _topics_of_corpus(data: Path) -> str:
    figures = topics.measure_corpus(data)
    rows = [(name, *(one[key] for key in ("precision", "recall", "f1"))) for name, one in figures["sections"].items()]
    return "\n\n".join(
        [
            f"On {figures['articles']} articles of the ANT corpus that are later than any that was trained on, by the "
            "newspaper's sections. An article has one section, so a right second topic counts as wrong.",
            table(("section", "precision", "recall", "F1"), rows),
            f"Macro-F1 {figures['macro']:.3f}; the first topic is the section's for {figures['first']:.1%}, "
            f"{figures['silent']:.1%} have none.",
        ]
    )


def _quotes() -> str:
    parts = []
    for name, figures in quotes.measure().items():
        rows = [
            (language, *(round(f[key]) for key in ("gold", "found")), *(f[key] for key in _QUOTE_COLUMNS))
            for language, f in figures.items()
        ]
        parts.append(f"{_QUOTE_SETS[name]}\n\n{table(_QUOTE_HEAD, rows)}")
    return "\n\n".join(parts)


_QUOTE_SETS = {
    "seeds": "On `seeds/`; a quotation counts when four fifths of its characters agree, with its speaker when the "
    "speaker is right, too.",
    "passages": "On `evaluation/gold/quotes.jsonl`, passages with traps that the rules were written with.",
}
_QUOTE_COLUMNS = ("precision", "recall", "f1", "speaker_precision", "speaker_recall", "speaker_f1")
_QUOTE_HEAD = ("", "labelled", "found", "precision", "recall", "F1", "with speaker: precision", "recall", "F1")

# Generated streams to measure group with: so many articles in three days each.
_STREAM = 2_000
_STREAM_SEEDS = (1, 2, 3)


def _run(stream: Sequence[streams.Arrival]) -> Run:
    return stream, grouping.grouped(arrival.annotated for arrival in stream)


def _duplicates(seeds: Run, generated: Sequence[Run]) -> str:
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
            f"On {len(generated)} generated streams of {_STREAM:,} articles (docs/generator.md) and on `seeds/`. A "
            "report is right when the article that it names is the original of the copy or another copy of that. "
            "`light` are copies with up to 15% of the words changed, `heavy` those with more (leads cut, paragraphs "
            'added), `copy` those of `seeds/`, of which this is not labelled; "original named" is the share of right '
            "reports that name the true first-seen article.",
            table(("", "reported", "precision", *(f"recall, {g}" for g in duplicates.GRADES), "original named"), rows),
            "Articles of the three streams that were falsely reported, by what they truly are:",
            table(("kind", "articles", "false reports"), kinds),
        ]
    )


def _duplicates_of_newspapers(data: Path) -> str:
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


def _stories(seeds: Run, generated: Sequence[Run]) -> str:
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


def _stories_in_a_crowd(data: Path) -> str:
    without = crowd.stream(data / "saudinewsnet")
    sets = {"by entities, numbers and words": without}
    try:
        encoder = vectors.load()
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


def _sharding(seeds: Sequence[streams.Arrival], generated: Sequence[Sequence[streams.Arrival]]) -> str:
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
            "Group in one process and simulated in shards (docs/scaling.md). A stitcher joins stories of different "
            "shards by one vector a story, of what all languages share; its threshold was chosen on `seeds/` and on "
            "two other generated streams. Sharded by source, group loses what it is for: it is here to show that. "
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


if __name__ == "__main__":
    main()
