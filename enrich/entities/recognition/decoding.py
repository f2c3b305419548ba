"""From the network's probabilities to names: legal and preferred sequences of labels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.events import EntityType

TYPES: tuple[EntityType, ...] = ("LOC", "ORG", "PER", "MISC")
LABELS = ("O", *(f"B-{name}" for name in TYPES), *(f"I-{name}" for name in TYPES))
_BEGIN, _INSIDE = 1, 1 + len(TYPES)
_NEVER = -1e4

# Log-probabilities [words, labels].
Scores = NDArray[np.float32]

# Row: the label before; column: the label after. A name continues only after its own beginning or middle.
_STEP: Scores = np.zeros((len(LABELS), len(LABELS)), np.float32)
_STEP[:, _INSIDE:] = _NEVER
for _type in range(len(TYPES)):
    _STEP[[_BEGIN + _type, _INSIDE + _type], _INSIDE + _type] = 0

# A word that is very probably no name does not influence its other occurrences, nor they it.
_UNSURE = np.log(0.7)
_SHORTEST_REPEATED = 3
_MOST_REPEATED = 8


def decode(scores: Scores) -> list[int]:
    """The likeliest legal sequence of labels for one sentence."""
    best: list[int] = scores.argmax(1).tolist()
    return best if legal(best) else _viterbi(scores)


def legal(labels: Sequence[int]) -> bool:
    """Whether every label that continues a name follows one of that name."""
    before = 0
    for label in labels:
        if label >= _INSIDE and before not in (label, label - len(TYPES)):
            return False
        before = label
    return True


def _viterbi(scores: Scores) -> list[int]:
    total = scores[0] + _STEP[0]
    back = []
    for row in scores[1:]:
        ways = total[:, None] + _STEP
        back.append(ways.argmax(0))
        total = ways.max(0) + row
    label = int(total.argmax())
    path = [label]
    for pointers in reversed(back):
        label = int(pointers[label])
        path.append(label)
    return path[::-1]


def names(labels: Sequence[int]) -> list[tuple[int, int, int]]:
    """(first word, word after the last, number of the type) of each name in legal labels."""
    found = []
    start = 0
    for at in range(1, len(labels) + 1):
        if at < len(labels) and labels[at] >= _INSIDE:
            continue
        if labels[start]:
            found.append((start, at, (labels[start] - _BEGIN) % len(TYPES)))
        start = at
    return found


def types(scores: Scores) -> NDArray[np.float32]:
    """Probabilities [words, types] of a word to be in a name of each type, from log-probabilities."""
    likely = np.exp(scores)
    return np.asarray(likely[:, _BEGIN:_INSIDE] + likely[:, _INSIDE:], np.float32)


def consistent(scores: Scores, forms: Sequence[str], share: float) -> Scores:
    """Scores in which a word that occurs again tends to keep its type.

    Its probabilities of the types are mixed with their mean over its occurrences up to this one. Later ones are not
    used, so that a text that grows keeps its names.
    """
    unsure: list[int] = np.flatnonzero(scores[:, 0] < _UNSURE).tolist()
    places: dict[str, list[int]] = {forms[at]: [] for at in unsure if len(forms[at]) >= _SHORTEST_REPEATED}
    if not places:
        return scores
    for at, form in enumerate(forms):
        if form in places:
            places[form].append(at)
    mixed = scores.copy()
    for where in places.values():
        if len(where) < 2:
            continue
        here = where[:_MOST_REPEATED]
        own = np.exp(scores[here])
        mean = np.cumsum(own, 0) / np.arange(1, len(here) + 1)[:, None]
        begin, inside = own[:, _BEGIN:_INSIDE], own[:, _INSIDE:]
        begins = begin / (begin + inside + 1e-9)
        either = mean[:, _BEGIN:_INSIDE] + mean[:, _INSIDE:]
        blend = (1 - share) * own + share * np.concatenate([mean[:, :1], either * begins, either * (1 - begins)], 1)
        start = next((at for at, place in enumerate(here) if scores[place, 0] < _UNSURE), len(here))
        mixed[here[start:]] = np.log(blend[start:] + 1e-9)
    return mixed
