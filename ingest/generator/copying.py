"""Copies that are not exact: some words changed, a paragraph more or less, a part of the whole."""

import random
from collections.abc import Collection, Sequence

_BREAK = "\n\n"


def count(text: str) -> int:
    """The words of a text."""
    return len(text.split())


def reworded(
    rng: random.Random, text: str, share: float, vocabulary: Sequence[str], names: Collection[str]
) -> tuple[str, float]:
    """A text with about this share of its words replaced, left out or added to; and the share that it became.

    Words that belong to a name are let alone, so that a copy names whom the original names.
    """
    kept = tuple({word: None for name in names for word in name.split()})
    tokens = text.split(" ")
    # Words with marks or line ends upon them stay; so does what may be a name behind an Arabic particle.
    free = [at for at, token in enumerate(tokens) if token.isalpha() and not token.endswith(kept)]
    words = count(text)
    wanted = min(len(free), max(1, int(share * words + 0.5)))
    for at in rng.sample(free, wanted):
        way = rng.random()
        word = vocabulary[int(rng.random() * len(vocabulary))]
        if way < 0.5:
            tokens[at] = word
        elif way < 0.75:
            tokens[at] = ""
        else:
            tokens[at] = f"{tokens[at]} {word}"
    return " ".join(filter(None, tokens)), wanted / words


def without_lead(text: str) -> tuple[str, float]:
    """A text without its first paragraph, if it has another; and the share cut."""
    cut = text.partition(_BREAK)[2] or text
    return cut, 1 - count(cut) / count(text)


def with_paragraph(rng: random.Random, text: str, paragraph: str) -> tuple[str, float]:
    """A text with a paragraph more, somewhere behind the first; and the share added."""
    paragraphs = text.split(_BREAK)
    paragraphs.insert(1 + int(rng.random() * len(paragraphs)), paragraph)
    return _BREAK.join(paragraphs), count(paragraph) / count(text)


def excerpt(rng: random.Random, text: str, least: int) -> tuple[str, float]:
    """Some paragraphs in a row, with at least so many words in all if the text has them; and the share left out."""
    paragraphs = text.split(_BREAK)
    first = int(rng.random() * len(paragraphs))
    last = first
    words = 0
    while words < least and (first or last < len(paragraphs)):
        if last < len(paragraphs):
            words += count(paragraphs[last])
            last += 1
        else:
            first -= 1
            words += count(paragraphs[first])
    return _BREAK.join(paragraphs[first:last]), 1 - words / count(text)
