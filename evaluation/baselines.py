"""What simple methods make of a stream of articles: one pass, one threshold, no second thoughts.

An article joins the open story whose centroid is nearest by cosine, if that is near enough, otherwise it opens a
story. Weights are tf-idf with the document frequencies of what came before. Everything sees the same annotated
articles as group does, boilerplate left out.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from enrich.text.tokens import Passage, stem
from services.events import AnnotatedArticle, Span

Features = Callable[[AnnotatedArticle], Counter[str]]
Gram = NDArray[np.float32]

_FEATURES_AT_ONCE = 4096
# Two articles with nothing in common are not near, whatever rounding makes of it.
_NOTHING = 1e-6


def words(article: AnnotatedArticle) -> Counter[str]:
    """The stems of an article's words, those of its title among them."""
    tokens = (*Passage(article.title or "").words, *Passage(article.text).without(article.boilerplate).words)
    return Counter(stem(token.form, article.language) for token in tokens)


def entities(article: AnnotatedArticle) -> Counter[str]:
    """The ids of an article's entities by how often they are mentioned in text that is not boilerplate."""
    counts: Counter[str] = Counter()
    for entity in article.entities:
        mentions = sum(not _inside(mention.start, article.boilerplate) for mention in entity.mentions)
        if mentions or not entity.mentions:  # a name in the title alone has no mentions
            counts[entity.id] = max(1, mentions)
    return counts


def _inside(at: int, spans: Iterable[Span]) -> bool:
    return any(span.start <= at < span.end for span in spans)


def likeness(articles: Sequence[AnnotatedArticle], features: Features) -> Gram:
    """The cosine of every two articles, one row and one column an article."""
    vectors = _vectors([features(article) for article in articles])
    shared = Counter(name for vector in vectors for name in vector)
    names = [name for name, count in shared.items() if count > 1]
    gram = np.zeros((len(vectors), len(vectors)), dtype=np.float32)
    for start in range(0, len(names), _FEATURES_AT_ONCE):
        columns = {name: at for at, name in enumerate(names[start : start + _FEATURES_AT_ONCE])}
        dense = np.zeros((len(vectors), len(columns)), dtype=np.float32)
        for row, vector in enumerate(vectors):
            for name, weight in vector.items():
                if name in columns:
                    dense[row, columns[name]] = weight
        gram += dense @ dense.T
    np.fill_diagonal(gram, 1.0)
    return gram


def _vectors(counts: Sequence[Mapping[str, int]]) -> list[dict[str, float]]:
    """tf-idf of unit length: ``(1 + log tf) · log((1 + articles so far) / those of them with it)``, itself counted."""
    having: Counter[str] = Counter()
    vectors = []
    for number, count in enumerate(counts, 1):
        having.update(count.keys())
        weights = {name: (1 + math.log(times)) * math.log((1 + number) / having[name]) for name, times in count.items()}
        length = math.sqrt(sum(weight * weight for weight in weights.values()))
        vectors.append({name: weight / length for name, weight in weights.items()})
    return vectors


def cluster(gram: Gram, arrivals: Sequence[datetime], window: timedelta, threshold: float) -> list[int]:
    """The number of the story that each article joins, from 0 on, given the cosines of every two articles.

    A story is open as long as an article has joined it within the window.
    """
    times = np.array([at.timestamp() for at in arrivals])
    stories = np.zeros(len(arrivals), dtype=np.intp)
    # Of each story: when the last article joined it, and the squared length of the sum of its vectors, which is its
    # centroid but for the length.
    last, squares = np.zeros(len(arrivals)), np.ones(len(arrivals))
    count = 0
    for number, at in enumerate(times):
        near = np.bincount(stories[:number], weights=gram[number, :number], minlength=count)
        cosines = np.where(at - last[:count] <= window.total_seconds(), near / np.sqrt(squares[:count]), 0.0)
        best = int(cosines.argmax()) if count else 0
        if count and cosines[best] >= max(threshold, _NOTHING):
            squares[best] += 2 * near[best] + 1.0
        else:
            best = count
            count += 1
        stories[number] = best
        last[best] = at
    return [int(story) for story in stories]
