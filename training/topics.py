"""Train the Arabic topic model on the ANT corpus: ``python -m training.topics <folder of the corpora>``.

Needs scikit-learn, which Khabar itself does not. Writes ``enrich/languages/ar/topics.npz``, prints coefficients of
the score for ``enrich/topics/classifier.py``. Articles from ``evaluation.topics.HELD_OUT_FROM`` on, and
those that share more than half of their text with one of these, are left out.

Sections that correspond to one topic are used as labels. For all other topics and sections the terms provide the
labels: strong evidence makes an example, no evidence a counter-example, anything else is left out.
"""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from enrich.languages import files
from enrich.text.tokens import Passage
from enrich.topics import classifier
from evaluation.topics import SECTIONS, CorpusArticle, corpus

_MODEL = files.folder("ar") / files.TOPIC_MODEL
_MIN_ARTICLES, _MAX_SHARE = 6, 0.25
_STRONG, _WEAK = 6.0, 1.0
_MIN_EXAMPLES = 40
_INVERSE_REGULARIZATION = 3.0

TOP = sorted(id_ for id_, topic in classifier.tree().items() if topic.parent is None)


def main(data: Path) -> None:
    """Read, train, calibrate, write."""
    articles = without_held_out(list(corpus(data)))
    passages = [(Passage(article.title), Passage(article.text)) for article in articles]
    evidence = np.array(
        [[found.get(t, 0.0) for t in TOP] for found in (classifier.evidence(*p, "ar") for p in passages)]
    )
    lengths = np.array([len(text.words) for _, text in passages])
    bags = [classifier.stems(*p, "ar") for p in passages]
    stems, idf = features(bags)
    matrix = vectors(bags, stems, idf)
    labels = label(articles, evidence)

    out_of_fold = np.zeros_like(evidence)
    for learn, rest in KFold(5, shuffle=True, random_state=0).split(matrix):
        weights, bias = fit(matrix[learn], labels[learn])
        out_of_fold[rest] = matrix[rest] @ weights.T + bias
    weights, bias = fit(matrix, labels)
    scale = np.abs(weights).max(axis=1, keepdims=True) / 127
    np.savez_compressed(
        _MODEL,
        topics=np.array(TOP),
        stems=np.array("\n".join(stems)),
        idf=idf.astype(np.float16),
        weights=np.round(weights / np.where(scale == 0, 1, scale)).astype(np.int8).T.copy(),
        scale=scale[:, 0].astype(np.float32),
        bias=bias.astype(np.float32),
    )
    print(f"{len(articles)} articles, {len(stems)} stems, {_MODEL.stat().st_size / 1e6:.2f} MB")
    print("examples:", dict(zip([t[7:9] for t in TOP], (labels == 1).sum(axis=0).tolist(), strict=True)))
    calibrate(articles, evidence, lengths, out_of_fold)


def without_held_out(articles: list[CorpusArticle]) -> list[CorpusArticle]:
    """The articles for training, without those that share most of their text with a held-out article."""
    held_out: set[tuple[str, ...]] = set()
    for article in articles:
        if article.held_out:
            held_out |= shingles(article)
    kept = []
    for article in articles:
        own = shingles(article)
        if article.text and not article.held_out and len(own & held_out) <= len(own) / 2:
            kept.append(article)
    return kept


def shingles(article: CorpusArticle) -> set[tuple[str, ...]]:
    """All sequences of three words."""
    words = [word.form for word in Passage(f"{article.title} {article.text}").words]
    return set(zip(words, words[1:], words[2:], strict=False))


def features(bags: list[Counter[str]]) -> tuple[list[str], npt.NDArray[np.float64]]:
    """The stems that enough articles have, but not too many, with their inverse document frequencies."""
    in_articles = Counter(stem for bag in bags for stem in bag)
    most = _MAX_SHARE * len(bags)
    stems = sorted(stem for stem, count in in_articles.items() if _MIN_ARTICLES <= count <= most)
    return stems, np.array([np.log(len(bags) / in_articles[stem]) for stem in stems])


def vectors(bags: list[Counter[str]], stems: list[str], idf: npt.NDArray[np.float64]) -> csr_matrix:
    """The articles as the vectors that ``enrich.topics`` computes."""
    index = {stem: number for number, stem in enumerate(stems)}
    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    for row, bag in enumerate(bags):
        own = [index[stem] for stem in bag if stem in index]
        weights = np.array([(1 + np.log(bag[stems[number]])) * idf[number] for number in own])
        values.extend(weights / (np.linalg.norm(weights) or 1.0))
        rows.extend([row] * len(own))
        columns.extend(own)
    return csr_matrix((values, (rows, columns)), shape=(len(bags), len(stems)))


def label(articles: list[CorpusArticle], evidence: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
    """1: example, 0: counter-example, -1: neither; one row per article, one column per topic."""
    most = evidence.max(axis=1, keepdims=True)
    labels = np.full(evidence.shape, -1, dtype=np.int8)
    labels[evidence <= _WEAK] = 0
    labels[(evidence >= _STRONG) & (evidence >= most / 2)] = 1
    for row, article in enumerate(articles):
        own = SECTIONS.get(article.section, set())
        if len(own) == 1:
            labels[row, [TOP.index(topic) for topic in own]] = 1
    return labels


def fit(matrix: csr_matrix, labels: npt.NDArray[np.int8]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """One logistic regression per topic; a topic with too few examples has weights of zero."""
    weights, bias = np.zeros((labels.shape[1], matrix.shape[1])), np.zeros(labels.shape[1])
    for column in range(labels.shape[1]):
        known = np.flatnonzero(labels[:, column] >= 0)
        if (labels[known, column] == 1).sum() >= _MIN_EXAMPLES:
            model = LogisticRegression(C=_INVERSE_REGULARIZATION, class_weight="balanced", solver="liblinear")
            model.fit(matrix[known], labels[known, column])
            weights[column], bias[column] = model.coef_[0], model.intercept_[0]
    return weights, bias


def calibrate(
    articles: list[CorpusArticle],
    evidence: npt.NDArray[np.float64],
    lengths: npt.NDArray[np.int64],
    linear: npt.NDArray[np.float64],
) -> None:
    """Fit the score on the sections with exactly one topic; print its coefficients, without and with the model."""
    columns = [TOP.index(topic) for own in SECTIONS.values() if len(own) == 1 for topic in own]
    rows = [row for row, article in enumerate(articles) if article.section in SECTIONS]
    truth = np.array([[TOP[c] in SECTIONS[articles[r].section] for c in columns] for r in rows])
    signs = np.array(
        [[classifier.signs(evidence[r, c], evidence[r].sum(), int(lengths[r])) for c in columns] for r in rows]
    )
    grid = np.ix_(rows, columns)
    for name, parts in (("terms", signs), ("with model", np.concatenate([signs, linear[grid][..., None]], axis=-1))):
        flat = parts.reshape(-1, parts.shape[-1])
        model = LogisticRegression(C=100.0).fit(flat, truth.ravel())
        print(name, round(float(model.intercept_[0]), 2), [round(float(c), 2) for c in model.coef_[0]])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
