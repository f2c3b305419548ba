"""Near-duplicates: some words changed, a paragraph added or removed, an excerpt."""

import random
from collections.abc import Collection, Sequence

_BREAK = "\n\n"


def count(text: str) -> int:
    """The number of words in a text."""
    return len(text.split())


def reworded(
    rng: random.Random, text: str, share: float, vocabulary: Sequence[str], names: Collection[str]
) -> tuple[str, float]:
    """Replace, remove or extend about this share of a text's words; return the new text and the share changed.

    Words of names are not changed, so that the near-duplicate names the same entities as the original.
    """
    kept = tuple({word: None for name in names for word in name.split()})
    tokens = text.split(" ")
    # Words with punctuation or line ends stay, and so do words that may be a name after an Arabic proclitic.
    free = [at for at, token in enumerate(tokens) if token.isalpha() and not token.endswith(kept)]
    words = count(text)
    wanted = min(len(free), max(1, int(share * words + 0.5)))
    for at in rng.sample(free, wanted):
        edit = rng.random()
        word = vocabulary[int(rng.random() * len(vocabulary))]
        if edit < 0.5:
            tokens[at] = word
        elif edit < 0.75:
            tokens[at] = ""
        else:
            tokens[at] = f"{tokens[at]} {word}"
    return " ".join(filter(None, tokens)), wanted / words


def without_lead(text: str) -> tuple[str, float]:
    """A text without its first paragraph, if it has more than one; and the share removed."""
    cut = text.partition(_BREAK)[2] or text
    return cut, 1 - count(cut) / count(text)


def with_paragraph(rng: random.Random, text: str, paragraph: str) -> tuple[str, float]:
    """A text with another paragraph, somewhere after the first; and the share added."""
    paragraphs = text.split(_BREAK)
    paragraphs.insert(1 + int(rng.random() * len(paragraphs)), paragraph)
    return _BREAK.join(paragraphs), count(paragraph) / count(text)


def excerpt(rng: random.Random, text: str, min_words: int) -> tuple[str, float]:
    """Consecutive paragraphs, with at least ``min_words`` words if the text has them; and the share left out."""
    paragraphs = text.split(_BREAK)
    first = int(rng.random() * len(paragraphs))
    last = first
    words = 0
    while words < min_words and (first or last < len(paragraphs)):
        if last < len(paragraphs):
            words += count(paragraphs[last])
            last += 1
        else:
            first -= 1
            words += count(paragraphs[first])
    return _BREAK.join(paragraphs[first:last]), 1 - words / count(text)
