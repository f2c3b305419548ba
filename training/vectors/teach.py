"""Vectors of the sentence encoder, for the table to be fitted to.

    python -m training.vectors.teach OUT.npz --data DATA

OUT has the vectors of a sample of sentences and of each word piece alone, the pieces of each sentence, and how often
each piece occurs in each language.
"""

import argparse
import random
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import BertModel

from enrich.text.pieces import Pieces
from training.ner import encoder
from training.vectors import corpus

_SENTENCES_A_LANGUAGE = 3_000
_LONGEST_SENTENCE, _MOST_PIECES = 220, 48
# Pieces that occur less often than this are kept only among the likeliest of the encoder's vocabulary.
_LEAST_COUNT, _LIKELIEST = 2, 50_000
_BATCH_PIECES = 4_096
# The encoder was trained with this before each text.
_PREFIX = "query: "


def main() -> None:
    """Read the command line, encode and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    packed = encoder.unpack()
    numbers = encoder.kept(packed)
    model = encoder.build(packed, numbers).eval()
    pieces = Pieces([(packed.pieces[i], packed.scores[i]) for i in numbers], encoder.UNKNOWN)
    found = corpus.sentences(arguments.data)
    cut = [split(text, pieces) for text, _ in found]
    languages = sorted({language for _, language in found})
    counts = np.zeros((len(languages), len(numbers)), np.int64)
    for (_, language), own in zip(found, cut, strict=True):
        np.add.at(counts[languages.index(language)], own, 1)
    scores = np.array([packed.scores[i] for i in numbers])
    likeliest = np.argsort(-scores)[:_LIKELIEST]
    vocabulary = np.union1d(np.flatnonzero(counts.sum(axis=0) >= _LEAST_COUNT), likeliest)
    vocabulary = vocabulary[vocabulary > encoder.UNKNOWN]
    sample = _sample([language for _, language in found])
    prefix = split(_PREFIX, pieces)
    read = [prefix + split(found[place][0][:_LONGEST_SENTENCE], pieces)[:_MOST_PIECES] for place in sample]
    print(f"{len(found)} sentences, {len(vocabulary)} pieces, {len(sample)} sentences to encode", flush=True)
    np.savez(
        arguments.out,
        sentences=encode(model, read).astype(np.float16),
        languages=np.array([found[place][1] for place in sample]),
        pieces=np.concatenate([own[len(prefix) :] for own in read]),
        lengths=np.array([len(own) - len(prefix) for own in read]),
        vocabulary=vocabulary,
        alone=encode(model, [[int(number)] for number in vocabulary]).astype(np.float16),
        counts=counts[:, vocabulary],
        names=np.array([packed.pieces[numbers[number]] for number in vocabulary]),
        scores=scores[vocabulary],
    )


def split(text: str, pieces: Pieces) -> list[int]:
    """The numbers of a text's pieces."""
    return [number for word in text.split() for number in pieces.of(word)]


def encode(model: BertModel, texts: Sequence[Sequence[int]]) -> np.ndarray:
    """The mean of the encoder's vectors of each text's pieces, (texts, 384)."""
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    vectors = np.zeros((len(texts), encoder.WIDTH), np.float32)
    at, began = 0, time.monotonic()
    while at < len(order):
        size = max(1, _BATCH_PIECES // (len(texts[order[min(at + 127, len(order) - 1)]]) + 2))
        batch = order[at : at + size]
        longest = max(len(texts[place]) for place in batch) + 2
        ids = torch.full((len(batch), longest), encoder.PAD)
        for row, place in enumerate(batch):
            own = [encoder.BEGIN, *texts[place], encoder.END]
            ids[row, : len(own)] = torch.tensor(own)
        mask = (ids != encoder.PAD).to(torch.long)
        with torch.inference_mode():
            states = model(input_ids=ids, attention_mask=mask).last_hidden_state
        means = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        vectors[batch] = means.numpy()
        at += len(batch)
        if at % 4_000 < len(batch):
            print(f"{at}/{len(order)} encoded, {time.monotonic() - began:.0f} s", flush=True)
    return vectors


def _sample(languages: Sequence[str]) -> list[int]:
    """The places of at most ``_SENTENCES_A_LANGUAGE`` sentences of each language, in random order."""
    rng = random.Random(1)
    chosen: list[int] = []
    for language in sorted(set(languages)):
        own = [place for place, other in enumerate(languages) if other == language]
        chosen += rng.sample(own, min(len(own), _SENTENCES_A_LANGUAGE))
    rng.shuffle(chosen)
    return chosen


if __name__ == "__main__":
    main()
