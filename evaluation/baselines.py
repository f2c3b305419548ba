"""Baselines for grouping: one pass over a stream of articles, one threshold.

An article joins the open story with the nearest centroid by cosine if that cosine reaches the threshold; otherwise it
opens a story. Weights are tf-idf with the document frequencies of the articles so far. The baselines read the same
annotated articles as group, without boilerplate.
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
# Rounding can give two articles with nothing in common a cosine above zero.
_MIN_COSINE = 1e-6


def words(article: AnnotatedArticle) -> Counter[str]:
    """The stems of the words of an article and of its title, with their counts."""
    tokens = (*Passage(article.title or "").words, *Passage(article.text).without(article.boilerplate).words)
    return Counter(stem(token.form, article.language) for token in tokens)


def entities(article: AnnotatedArticle) -> Counter[str]:
    """The ids of an article's entities, with the number of mentions outside boilerplate."""
    counts: Counter[str] = Counter()
    for entity in article.entities:
        mentions = sum(not _inside(mention.start, article.boilerplate) for mention in entity.mentions)
        if mentions or not entity.mentions:  # a name in the title alone has no mentions
            counts[entity.id] = max(1, mentions)
    return counts


def _inside(at: int, spans: Iterable[Span]) -> bool:
    return any(span.start <= at < span.end for span in spans)


def similarities(articles: Sequence[AnnotatedArticle], features: Features) -> Gram:
    """The cosine of each pair of articles: a matrix with one row and one column per article."""
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
    """tf-idf vectors of unit length: ``(1 + log tf) · log((1 + n) / df)``, both counted up to and with the article."""
    having: Counter[str] = Counter()
    vectors = []
    for number, count in enumerate(counts, 1):
        having.update(count.keys())
        weights = {name: (1 + math.log(times)) * math.log((1 + number) / having[name]) for name, times in count.items()}
        length = math.sqrt(sum(weight * weight for weight in weights.values()))
        vectors.append({name: weight / length for name, weight in weights.items()})
    return vectors


def assign_stories(gram: Gram, arrivals: Sequence[datetime], window: timedelta, threshold: float) -> list[int]:
    """The number of the story that each article joins, starting at 0, given the cosines of each pair of articles.

    A story is open while an article has joined it within the window.
    """
    times = np.array([at.timestamp() for at in arrivals])
    stories = np.zeros(len(arrivals), dtype=np.intp)
    # Per story: when the last article joined, and the squared length of the sum of its vectors. The sum points in the
    # direction of the centroid, which is all that the cosine needs.
    last, squares = np.zeros(len(arrivals)), np.ones(len(arrivals))
    count = 0
    for number, at in enumerate(times):
        near = np.bincount(stories[:number], weights=gram[number, :number], minlength=count)
        cosines = np.where(at - last[:count] <= window.total_seconds(), near / np.sqrt(squares[:count]), 0.0)
        best = int(cosines.argmax()) if count else 0
        if count and cosines[best] >= max(threshold, _MIN_COSINE):
            squares[best] += 2 * near[best] + 1.0
        else:
            best = count
            count += 1
        stories[number] = best
        last[best] = at
    return [int(story) for story in stories]
