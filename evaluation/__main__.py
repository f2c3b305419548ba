"""``python -m evaluation [--data DIR] [--samples DIR] [--output FILE]``: write docs/reference/evaluation.md.

DIR of ``--data`` holds the public corpora by name (``anercorp/``, ``antcorpus/``, ``saudinewsnet/``); they may not be
shipped. DIR of ``--samples`` holds articles as .txt with a ``gold.json``. What is not there is not measured, and its
section stays as it was.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from enrich.entities import recognition
from evaluation import (
    cleaning,
    corpora,
    group,
    language,
    linking,
    mentions,
    ner,
    quotes,
    report,
    samples,
    topics,
    trends,
)
from evaluation.report import table

DOCUMENT = Path(__file__).parent.parent / "docs" / "reference" / "evaluation.md"
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
@click.option(
    "--output", type=click.Path(path_type=Path), default=DOCUMENT, show_default="docs/reference/evaluation.md"
)
def main(data: Path | None, labelled: Path | None, tier: str, ner_model: Path | None, output: Path) -> None:
    """Measure everything that can be measured here."""
    seeds, generated = group.runs()
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
        "Duplicates": group.of_duplicates(seeds, generated),
        "Duplicates on real news": _of_corpus(group.of_newspapers, data, "saudinewsnet"),
        "Stories": group.of_stories(seeds, generated),
        "Stories among real news": _of_corpus(group.in_a_crowd, data, "saudinewsnet"),
        "Sharding": group.of_sharding(seeds[0], [stream for stream, _ in generated]),
        "Trends": trends.section(),
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


if __name__ == "__main__":
    main()
