"""The content words of an article, by which stories in one language are distinguished."""

from collections import Counter
from collections.abc import Iterable

from enrich.text.tokens import Token, stem

_KEPT = 48
_IN_TITLE = 3
_SHORTEST = 4


def terms(title: Iterable[Token], text: Iterable[Token], language: str) -> list[str]:
    """Stems of at least four letters, most frequent first (a word in the title counts three times), at most 48.

    Frequent words are included: group, which sees all articles, weighs terms by rarity.
    """
    counts: Counter[str] = Counter()
    for words, weight in ((title, _IN_TITLE), (text, 1)):
        for word in words:
            if len(word.form) >= _SHORTEST and not word.form.isdigit():
                counts[stem(word.form, language)] += weight
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [term for term, _ in ranked[:_KEPT]]
