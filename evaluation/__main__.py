"""``python -m evaluation [--data DIR] [--samples DIR] [--output FILE]``: write docs/reference/evaluation.md.

DIR of ``--data`` holds the public corpora by name (``anercorp/``, ``antcorpus/``, ``saudinewsnet/``, ``stories/``),
which may not be redistributed. DIR of ``--samples`` holds articles as .txt with a ``gold.json``. A section whose data
is missing is not measured and stays as it was.
"""

import functools
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from enrich.entities import recognition
from evaluation import (
    cleaning,
    corpora,
    group_report,
    grouping,
    language,
    linking,
    mentions,
    ner,
    quotes,
    report,
    samples,
    titles,
    topics,
    trends,
)
from evaluation.report import table

DOCUMENT = Path(__file__).parent.parent / "docs" / "reference" / "evaluation.md"
PREFACE = """# Evaluation

The measured quality of the enrichment. `make evaluate` repeats the measurements and writes this page. Sections that
need corpora which may not be redistributed are measured only with `make evaluate DATA=DIR`, and are otherwise left
unchanged. Precision is the share of results that are correct, recall the share of labelled items that were found, F1
their harmonic mean. `seeds/` and `evaluation/gold/` were written and labelled for this project by the authors of the
code; a section says so if they were also used while rules were written.
"""


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), help="folder of public corpora")
@click.option(
    "--samples",
    "labelled",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="folder of labelled articles",
)
@click.option("--ner", "tier", default="default", help="recognition tier to measure in addition to the default")
@click.option("--ner-model", type=click.Path(path_type=Path, exists=True), help="model of the quality tier")
@click.option(
    "--output", type=click.Path(path_type=Path), default=DOCUMENT, show_default="docs/reference/evaluation.md"
)
def main(data: Path | None, labelled: Path | None, tier: str, ner_model: Path | None, output: Path) -> None:
    """Measure all sections whose data is available."""
    measured = {title: section() for title, section in sections(data, labelled).items()}
    if data is not None and tier != "default":
        measured[f"Entities, {tier} tier"] = _entity_table(recognition.load(tier, ner_model), data)
    for title, body in measured.items():
        sys.stdout.write(f"\n## {title}\n\n{body or '(not measured: its data is missing)'}\n")
    report.write(output, PREFACE, measured)


def sections(
    data: Path | None = None, labelled: Path | None = None, *, quick: bool = False
) -> dict[str, Callable[[], str | None]]:
    """The sections in the order of the page; each measures when called, and returns None if its data is missing.

    ``quick`` makes generated streams, samples and days small: figures mean nothing then, but all code has run.
    """
    runs = functools.cache(partial(group_report.runs, 80) if quick else group_report.runs)
    in_news = partial(group_report.in_news, articles=20) if quick else group_report.in_news

    def sharding() -> str:
        seeds, generated = runs()
        make = grouping.small_grouper if quick else grouping.grouper
        return group_report.of_sharding(seeds[0], [stream for stream, _ in generated], make)

    return {
        "Sets": _sets,
        "Cleaning": _cleaning,
        "Cleaning on real news": partial(_of_corpus, _changed, data, "saudinewsnet"),
        "Language": _language,
        "Entities": partial(_of_corpus, _entities, data, "anercorp"),
        "Mentions": _mentions,
        "Linking": lambda: _linking("articles of seeds/", samples.seeds()),
        "Linking on other articles": lambda: _linking("other articles", samples.folder(labelled)) if labelled else None,
        "Topics": _topics,
        "Topics on a corpus": partial(_of_corpus, _topics_of_corpus, data, "antcorpus"),
        "Quotations": _quotes,
        "Duplicates": lambda: group_report.of_duplicates(*runs()),
        "Duplicates on real news": partial(_of_corpus, group_report.of_newspapers, data, "saudinewsnet"),
        "Stories": lambda: group_report.of_stories(*runs()),
        "Stories of titles": partial(_of_corpus, group_report.of_titles, data, str(titles.FILE)),
        "Near-misses": group_report.of_near_misses,
        "Stories among real news": partial(_of_corpus, in_news, data, "saudinewsnet"),
        "Sharding": sharding,
        "Trends": partial(trends.section, _QUICK_TRENDS if quick else None),
    }


_QUICK_TRENDS = trends.Sizes(articles=1_500, bursts=2, flat_seeds=(71,), planted_seeds=(81,), tick=300)


def _of_corpus(section: Callable[[Path], str], data: Path | None, corpus: str) -> str | None:
    return section(data) if data is not None and (data / corpus).exists() else None


def _sets() -> str:
    return table(("set", "what it is", "licence", "used for"), _SETS)


_SETS = (
    ("`seeds/`", "92 articles in 8 languages, written for Khabar", "Apache-2.0", "developing everything; measuring"),
    ("generated streams", "`khabar generate`, seeds 1 to 3", "Apache-2.0", "developing group; measuring"),
    (
        "`evaluation/gold/near_misses.jsonl`",
        "18 events, each with two reports and another event with the same actors, written for Khabar",
        "Apache-2.0",
        "measuring",
    ),
    ("`evaluation/gold/`, other files", "dates, languages, quotations", "Apache-2.0", "writing rules; measuring"),
    (
        "OG2021",
        "titles of news on the Olympic Games of 2021, by event",
        "CC BY-NC-ND 4.0",
        "first half: weights and thresholds of stories; second half: measuring",
    ),
    (
        "SaudiNewsNet",
        "20,093 articles of 14 newspapers, 2015",
        "CC BY-NC-SA, research only",
        "thresholds of near-duplicates; measuring",
    ),
    ("ANERcorp, CAMeL split", "Arabic news with names", "CC BY-SA 4.0", "training names; the last eighth: measuring"),
    ("ANT corpus 1.1", "10,161 Arabic articles, by section", "Apache-2.0", "training topics; the newest: measuring"),
)


def _cleaning() -> str:
    glued, days = cleaning.glued(), cleaning.day_mentions()
    first, warm = cleaning.boilerplate(), cleaning.boilerplate(warm=True)
    return "\n\n".join(
        [
            f"Glued words in `seeds/`: {glued['found']} of {glued['found'] + glued['missed']} split, "
            f"{glued['damaged']} of {glued['words']} others damaged.",
            table(
                ("", "precision", "recall", "correct", "extra", "missed"),
                [
                    ("boilerplate lines in `seeds/`, each article seen once", *_counts(first)),
                    ("the same, when their sources are known", *_counts(warm)),
                    ("dates in `evaluation/gold/dates.jsonl` (used while writing the rules)", *_counts(days)),
                ],
            ),
        ]
    )


def _counts(figures: dict[str, Any]) -> tuple[Any, ...]:
    return figures["precision"], figures["recall"], figures["hits"], figures["extra"], figures["missed"]


def _changed(data: Path) -> str:
    figures = cleaning.changed_tokens(corpora.newspaper_texts(data / "saudinewsnet"))
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
            "The share of `evaluation/gold/languages.jsonl` whose language is detected correctly. Thresholds were "
            "chosen on this set.",
            table(("kind", "texts", "correct"), kinds),
            table(("", *languages), rows),
        ]
    )


def _entities(data: Path) -> str:
    intro = (
        "Names by exact words and type on the last eighth of ANERcorp's training part, which neither the network nor "
        "its teachers have seen. Particles count as part of a word, as is usual in the literature."
    )
    return f"{intro}\n\n{_entity_table(recognition.load(), data)}"


def _entity_table(recognizer: recognition.Recognizer, data: Path) -> str:
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
            "All labelled mentions in `seeds/`, including invented people and places, by exact text and type, after "
            "recognition, matching and linking.",
            table(("language", "mentions", "precision", "recall", "F1"), rows),
        ]
    )


def _linking(name: str, labelled: tuple[samples.Sample, ...]) -> str:
    figures = linking.measure(labelled)
    rows = [(f"{len(labelled)} {name}", figures["pairs"], figures["precision"], figures["recall"])]
    return "\n\n".join(
        [
            "Pairs of article and Wikidata id. Ids of entities that are labelled without an id are not evaluated "
            f"({figures['not_evaluated']}).",
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
            "On `seeds/`, labelled before the terms were written, by the same authors.",
            table(("", "average", "precision", "recall", "F1"), rows),
            table(("upper level, micro F1", *languages), [("", *(one["f1"] for one in languages.values()))]),
        ]
    )


def _topics_of_corpus(data: Path) -> str:
    figures = topics.measure_corpus(data)
    rows = [(name, *(one[key] for key in ("precision", "recall", "f1"))) for name, one in figures["sections"].items()]
    return "\n\n".join(
        [
            f"On {figures['articles']} articles of the ANT corpus that are newer than all training articles, by the "
            "newspaper's sections. An article has one section, so a correct second topic counts as wrong.",
            table(("section", "precision", "recall", "F1"), rows),
            f"Macro-F1 {figures['macro']:.3f}; the first topic is that of the section for {figures['first']:.1%}; "
            f"{figures['without']:.1%} have no topic.",
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
    "seeds": 'On `seeds/`. A quotation counts as found if four fifths of its characters match; "with speaker" also '
    "requires the correct speaker.",
    "passages": "On `evaluation/gold/quotes.jsonl`, difficult passages that were used while writing the rules.",
}
_QUOTE_COLUMNS = ("precision", "recall", "f1", "speaker_precision", "speaker_recall", "speaker_f1")
_QUOTE_HEAD = ("", "labelled", "found", "precision", "recall", "F1", "with speaker: precision", "recall", "F1")


if __name__ == "__main__":
    main()
