"""Fit the table of static vectors to the encoder's vectors, and write it as Khabar reads it.

    python -m training.vectors.fit FOLDER TEACHER.npz

A text's static vector is the sum of its pieces' rows. Rows begin as a linear map of the encoder's vectors of the pieces
alone; then each is free, drawn towards that (ridge regression by conjugate gradients). Frequent pieces weigh less
(smooth inverse frequency, Arora and others 2017). The target are the encoder's vectors of whole sentences, without the
mean of their language, on their 256 strongest axes, the weaker ones scaled up.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy import sparse

from enrich.fingerprint import static_vectors

_DIMENSIONS = static_vectors.DIMENSIONS
_FREQUENCY = 1e-4
_LEAST_FREQUENCY = 5e-7
_FLATTENING = 0.25
_RIDGE = 1.0
_STEPS = 20


def main() -> None:
    """Read the command line, fit and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("teacher", type=Path)
    arguments = parser.parse_args()
    teacher = np.load(arguments.teacher)
    languages = teacher["languages"]
    target, axes, mean = targets(_unit(teacher["sentences"].astype(np.float32)), languages)
    weights = frequency_weights(teacher["counts"])
    bags = _unit_rows(_bags(teacher), weights)
    alone = _unit(teacher["alone"].astype(np.float32))
    alone -= alone.mean(axis=0)
    start = alone @ _linear_map(np.asarray(bags @ alone), target)
    rows = _free(bags, start, target)
    fitted = _unit(np.asarray(bags @ rows))
    print(f"{len(rows)} pieces; mean cosine with the encoder {float((fitted * target).sum(axis=1).mean()):.3f}")
    static_vectors.write(
        arguments.folder, rows * weights[:, None], list(zip(teacher["names"], teacher["scores"], strict=True))
    )
    np.savez(arguments.folder / static_vectors.AXES, axes=axes.astype(np.float16), mean=mean.astype(np.float32))


def targets(vectors: np.ndarray, languages: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors to reach (n, 256), the axes (384, 256), and the mean of the languages' means (384,)."""
    centred = vectors.copy()
    means, shares = [], np.zeros(len(vectors))
    for language in sorted(set(languages.tolist())):
        own = languages == language
        means.append(vectors[own].mean(axis=0))
        centred[own] -= means[-1]
        shares[own] = 1 / own.sum()
    shares /= shares.sum()
    offset = shares @ centred
    spread = (centred - offset).T @ ((centred - offset) * shares[:, None])
    values, found = np.linalg.eigh(spread.astype(np.float64))
    values, found = values[::-1][:_DIMENSIONS], found[:, ::-1][:, :_DIMENSIONS]
    axes = found * (values / values[0]) ** -_FLATTENING
    return _unit(centred @ axes).astype(np.float32), axes, np.mean(means, axis=0)


def frequency_weights(counts: np.ndarray) -> np.ndarray:
    """The weight of each piece: high for rare ones. ``counts`` by language and piece."""
    frequency = (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).mean(axis=0)
    found = _FREQUENCY / (_FREQUENCY + np.maximum(frequency, _LEAST_FREQUENCY))
    return found.astype(np.float32)


def _bags(teacher: "np.lib.npyio.NpzFile") -> sparse.csr_matrix:
    """How often each piece occurs in each sentence."""
    place = np.full(int(max(teacher["vocabulary"].max(), teacher["pieces"].max())) + 1, -1)
    place[teacher["vocabulary"]] = np.arange(len(teacher["vocabulary"]))
    columns = place[teacher["pieces"]]
    rows = np.repeat(np.arange(len(teacher["lengths"])), teacher["lengths"])
    kept = columns >= 0
    shape = (len(teacher["lengths"]), len(teacher["vocabulary"]))
    return sparse.csr_matrix((np.ones(kept.sum(), np.float32), (rows[kept], columns[kept])), shape)


def _unit_rows(bags: sparse.csr_matrix, weights: np.ndarray) -> sparse.csr_matrix:
    weighted = bags @ sparse.diags(weights)
    lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    return (sparse.diags(1 / np.maximum(lengths, 1e-9)) @ weighted).tocsr().astype(np.float32)


def _linear_map(found: np.ndarray, target: np.ndarray) -> np.ndarray:
    square = found.T @ found
    square[np.diag_indices_from(square)] += np.trace(square) / len(square) * 1e-3
    return np.linalg.solve(square.astype(np.float64), (found.T @ target).astype(np.float64)).astype(np.float32)


def _free(bags: sparse.csr_matrix, start: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Minimise |bags · rows - target|² + ridge · |rows - start|², all columns at once."""
    transposed = bags.T.tocsr()
    change = np.zeros_like(start)
    residual = np.asarray(transposed @ (target - bags @ start))
    direction = residual.copy()
    size = (residual**2).sum(axis=0)
    for _ in range(_STEPS):
        applied = np.asarray(transposed @ (bags @ direction)) + _RIDGE * direction
        step = size / np.maximum((direction * applied).sum(axis=0), 1e-12)
        change += direction * step
        residual -= applied * step
        before, size = size, (residual**2).sum(axis=0)
        direction = residual + direction * (size / np.maximum(before, 1e-12))
    return start + change


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


if __name__ == "__main__":
    main()
