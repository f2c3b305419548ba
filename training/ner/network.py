"""The small network.

A word's vector depends only on its pieces and hashed features, so vectors can be cached by word. Its labels also depend
on the words around it in the same sentence, never on other sentences.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from enrich.entities.recognition import word_features
from enrich.entities.recognition.decoding import LABELS
from enrich.text.pieces import Pieces
from training.ner import encoder

PIECE_WIDTH, HASH_WIDTH = 160, 96
WIDTH = 192
DILATIONS = (1, 1, 2, 3, 1)
# Dropout of each feature. Those of a whole word or its stem are dropped more often: for new words they are untrained.
_FEATURE_DROPOUT = (0.5, 0.45, 0.45, *([0.08] * (word_features.FEATURES - 3)))


class Words:
    """All words seen, by number, with their pieces and features."""

    def __init__(self, pieces: Pieces) -> None:
        self._cut = pieces
        self._numbers: dict[str, int] = {}
        self.pieces: list[list[int]] = []
        self.hashed: list[list[int]] = []

    def number(self, surface: str) -> int:
        """The number of a word."""
        word = word_features.bare(surface[: word_features.LONGEST])
        found = self._numbers.get(word)
        if found is None:
            found = self._numbers[word] = len(self.pieces)
            cut = self._cut.of(word)[: word_features.MOST_PIECES]
            self.pieces.append(cut + [encoder.PAD] * (word_features.MOST_PIECES - len(cut)))
            self.hashed.append(word_features.hashed(word))
        return found

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(pieces [words, 6], features [words, 16])."""
        return torch.tensor(self.pieces), torch.tensor(self.hashed)


class Stream(NamedTuple):
    """Annotated sentences, concatenated: ``bounds[i]:bounds[i + 1]`` are the words of sentence i.

    ``targets`` are probabilities [words, labels]; a row of zeros is not trained on.
    """

    words: np.ndarray
    bounds: np.ndarray
    targets: np.ndarray

    def batch(self, chosen: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(words, number of words before and after in the sentence, targets) of some sentences."""
        ranges = [np.arange(self.bounds[i], self.bounds[i + 1]) for i in chosen]
        rows = np.concatenate(ranges)
        before = np.concatenate([np.arange(len(r)) for r in ranges])
        after = np.concatenate([np.arange(len(r))[::-1] for r in ranges])
        return self.words[rows], before, after, self.targets[rows]


def stream(words: Words, sentences: Sequence[Sequence[str]], targets: Sequence[np.ndarray]) -> Stream:
    """Sentences with their targets as one stream."""
    numbers = np.array([words.number(word) for sentence in sentences for word in sentence], np.int64)
    bounds = np.cumsum([0, *(len(sentence) for sentence in sentences)])
    return Stream(numbers, bounds, np.concatenate(targets).astype(np.float16))


class Block(nn.Module):
    """A gated convolution over a word and one on each side, ``dilation`` apart, added to its input."""

    def __init__(self, dilation: int, dropout: float) -> None:
        super().__init__()
        self.dilation = dilation
        self.mix = nn.Linear(3 * WIDTH, 2 * WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """States [words, width] to states; beyond the ends of a sentence states are zero."""
        step = self.dilation
        left = functional.pad(states, (0, 0, step, 0))[:-step] * (before >= step)[:, None]
        right = functional.pad(states, (0, 0, 0, step))[step:] * (after >= step)[:, None]
        value, gate = self.mix(torch.cat([left, states, right], -1)).chunk(2, -1)
        return self.norm(states + self.dropout(value * torch.sigmoid(gate)))


class Network(nn.Module):
    """From the pieces and features of words to the labels of words in sentences."""

    def __init__(self, pieces: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.pieces = nn.EmbeddingBag(pieces, PIECE_WIDTH, mode="sum", sparse=True, padding_idx=encoder.PAD)
        self.hashed = nn.EmbeddingBag(word_features.BUCKETS, HASH_WIDTH, mode="sum", sparse=True, padding_idx=0)
        nn.init.normal_(self.hashed.weight, std=0.15)
        with torch.no_grad():
            self.hashed.weight[0] = 0
        self.dropout = nn.Dropout(dropout)
        self.join = nn.Linear(PIECE_WIDTH + HASH_WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.blocks = nn.ModuleList([Block(dilation, 0.7 * dropout) for dilation in DILATIONS])
        self.labels = nn.Linear(WIDTH, len(LABELS))

    def vectors(self, pieces: torch.Tensor, hashed: torch.Tensor) -> torch.Tensor:
        """Vectors of words, each half with mean 0 and variance 1."""
        if self.training:
            hashed = hashed.masked_fill(torch.rand(hashed.shape) < torch.tensor(_FEATURE_DROPOUT), 0)
        halves = self.pieces(pieces), self.hashed(hashed)
        return torch.cat([functional.layer_norm(half, half.shape[-1:]) for half in halves], -1)

    def forward(self, vectors: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Logits [words, labels] from the vectors of words in concatenated sentences."""
        states = self.norm(functional.relu(self.join(self.dropout(vectors))))
        for block in self.blocks:
            states = block(states, before, after)
        return self.labels(self.dropout(states))


def reduced(weights: torch.Tensor) -> torch.Tensor:
    """The encoder's vectors of pieces [pieces, 384] in their first ``PIECE_WIDTH`` principal directions, scaled."""
    centred = weights - weights[4:].mean(0)
    _, _, directions = torch.linalg.svd(centred[4:], full_matrices=False)
    found = centred @ directions[:PIECE_WIDTH].T
    found[:4] = 0
    return found / found[4:].std()
