"""Train the small network on the teachers' labels of news and on annotated sentences.

    python -m training.ner.student OUT SILVER [SILVER ...] --data DATA [--seed 1] [--minutes 15] [--with-development]

OUT is a file of weights. ``--aqmar`` adds AQMAR, ``--start`` starts from another run's weights.
"""

import argparse
import pickle
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from enrich.entities.recognition.decoding import LABELS, decode
from enrich.text.pieces import Pieces
from evaluation.ner import Sentence, score
from training.ner import corpora, encoder
from training.ner.network import Network, Stream, Words, reduced, stream

_REPORT = 250
_WARM = 150
_BATCH = 500
_AVERAGED_EVERY = 10
_NUMBERS = {label: number for number, label in enumerate(LABELS)}


def vocabulary(packed: encoder.Packed) -> list[int]:
    """The numbers of the pieces that the network knows."""
    return encoder.kept(packed, arabic_only=True)


def cutter(packed: encoder.Packed) -> Pieces:
    """Cuts words into those pieces."""
    return Pieces([(packed.pieces[i], packed.scores[i]) for i in vocabulary(packed)], encoder.UNKNOWN)


def probabilities(network: Network, words: Words, sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """Log-probabilities [words, labels] for each sentence."""
    network.eval()
    numbers = torch.tensor([words.number(word) for sentence in sentences for word in sentence])
    before = torch.tensor([at for sentence in sentences for at in range(len(sentence))])
    after = torch.tensor([len(sentence) - 1 - at for sentence in sentences for at in range(len(sentence))])
    pieces, hashed = words.tensors()
    with torch.inference_mode():
        logits = network(network.vectors(pieces[numbers], hashed[numbers]), before, after)
        logs = logits.log_softmax(-1).numpy()
    network.train()
    return np.split(logs, np.cumsum([len(sentence) for sentence in sentences])[:-1])


def measure(network: Network, words: Words, sentences: Sequence[Sentence], bias: float = 0.0) -> dict:
    """Entity precision, recall and F1 on annotated sentences; ``bias`` raises the probability of names."""
    predicted = []
    for logs in probabilities(network, words, [sentence.words for sentence in sentences]):
        logs[:, 0] -= bias
        predicted.append([LABELS[label] for label in decode(logs)])
    return score([sentence.tags for sentence in sentences], predicted)


def _gold_targets(sentence: Sentence) -> np.ndarray:
    targets = np.zeros((len(sentence.tags), len(LABELS)), np.float32)
    for row, tag in enumerate(sentence.tags):
        if tag != corpora.IGNORED:
            targets[row, _NUMBERS[tag]] = 1
    return targets


def _batches(source: Stream, size: int) -> Iterator[list[int]]:
    """Endless random batches of about ``size`` words; each sentence occurs once per round."""
    lengths = np.diff(source.bounds)
    while True:
        batch: list[int] = []
        left = size
        for number in np.random.permutation(len(lengths)):
            batch.append(int(number))
            left -= lengths[number]
            if left <= 0:
                yield batch
                batch, left = [], size


def _annotated(arguments: argparse.Namespace) -> tuple[list[Sentence], list[Sentence]]:
    """(training sentences, development sentences) in Khabar's own words and sentences."""
    parts = corpora.anercorp(arguments.data)
    training, development = ([made for sentence in part for made in corpora.retokenized(sentence)] for part in parts)
    gold = [*training, *(development if arguments.with_development else ())]
    if arguments.aqmar:
        gold += [made for sentence in corpora.aqmar(arguments.data) for made in corpora.retokenized(sentence)]
    return gold, development


def _silver(arguments: argparse.Namespace, words: Words, pieces: int) -> Stream:
    """The labels of news: the teachers' predictions, mixed with those of earlier runs."""
    sentences: list[list[str]] = []
    labels: list[np.ndarray] = []
    for path in arguments.silver:
        with path.open("rb") as file:
            more, logs = pickle.load(file)
        sentences += more
        labels += [np.exp(rows.astype(np.float32)) for rows in logs]
    if arguments.earlier:
        labels = [rows * arguments.teachers_share for rows in labels]
    share = (1 - arguments.teachers_share) / max(1, len(arguments.earlier))
    for path in arguments.earlier:
        earlier = Network(pieces)
        earlier.load_state_dict(torch.load(path))
        for at in range(0, len(sentences), _BATCH):
            for number, rows in enumerate(probabilities(earlier, words, sentences[at : at + _BATCH]), at):
                labels[number] += np.exp(rows) * share
    return stream(words, sentences, labels)


class _Optimizer:
    """Adam: sparse for the tables, of which each step changes few rows, and dense for the other weights."""

    def __init__(self, network: Network) -> None:
        tables = [network.pieces.weight, network.hashed.weight]
        self._dense = [weight for weight in network.parameters() if all(weight is not table for table in tables)]
        self._parts: list[torch.optim.Optimizer] = [
            torch.optim.SparseAdam(tables, betas=(0.9, 0.98)),
            torch.optim.AdamW(self._dense, betas=(0.9, 0.98), weight_decay=0.01),
        ]

    def step(self, rate: float) -> None:
        """Apply the gradients with a learning rate, and reset them."""
        torch.nn.utils.clip_grad_norm_(self._dense, 2.0)
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()
            part.zero_grad()


def train(arguments: argparse.Namespace) -> None:
    """Train and write the weights."""
    np.random.seed(arguments.seed)
    torch.manual_seed(arguments.seed)
    packed = encoder.unpack()
    words = Words(cutter(packed))
    numbers = vocabulary(packed)
    gold, development = _annotated(arguments)
    silver = _silver(arguments, words, len(numbers))
    annotated = stream(words, [s.words for s in gold], [_gold_targets(s) for s in gold])
    network = Network(len(numbers), arguments.dropout)
    with torch.no_grad():
        network.pieces.weight.copy_(reduced(packed.weights["embeddings.word_embeddings.weight"][numbers]))
    if arguments.start:
        network.load_state_dict(torch.load(arguments.start))
    pieces, hashed = words.tensors()
    optimizer = _Optimizer(network)
    print(f"{len(silver.words)} silver words, {len(annotated.words)} gold, {len(pieces)} different", flush=True)
    sources = [
        (silver, _batches(silver, arguments.silver_words)),
        (annotated, _batches(annotated, arguments.gold_words)),
    ]
    average = torch.optim.swa_utils.AveragedModel(network)
    began, losses, done = time.monotonic(), [], 0.0
    while done < 1:
        done = len(losses) / arguments.steps if arguments.steps else (time.monotonic() - began) / 60 / arguments.minutes
        chosen = [source.batch(next(batches)) for source, batches in sources]
        numbers_of_words, before, after, targets = (np.concatenate(arrays) for arrays in zip(*chosen, strict=True))
        different, indexes = np.unique(numbers_of_words, return_inverse=True)
        vectors = network.vectors(pieces[different], hashed[different])[torch.tensor(indexes)]
        logits = network(vectors, torch.tensor(before), torch.tensor(after))
        expected = torch.tensor(targets).float()
        loss = -(expected * functional.log_softmax(logits, -1)).sum() / expected.sum()
        loss.backward()
        optimizer.step(arguments.rate * min(1.0, (len(losses) + 1) / _WARM) * max(0.01, 1 - done))
        losses.append(loss.item())
        if arguments.average and done > 1 - arguments.average and len(losses) % _AVERAGED_EVERY == 0:
            average.update_parameters(network)
        if len(losses) % _REPORT == 0 or done >= 1:
            measured = average.module if average.n_averaged else network
            figures = [measure(measured, words, development, bias)["all"]["f1"] for bias in (0.0, 0.3)]
            print(
                f"step {len(losses)} loss {np.mean(losses[-_REPORT:]):.4f} development F1 {figures[0]:.4f}, "
                f"with bias {figures[1]:.4f}, {time.monotonic() - began:.0f} s, {done:.2f}",
                flush=True,
            )
            torch.save(average.module.state_dict() if average.n_averaged else network.state_dict(), arguments.out)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("silver", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--steps", type=int, default=0, help="number of steps, instead of --minutes")
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--silver-words", type=int, default=1500, help="labelled words per step")
    parser.add_argument("--gold-words", type=int, default=500, help="annotated words per step")
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--average", type=float, default=0.0, help="write the mean of the weights over this last part")
    parser.add_argument("--aqmar", action="store_true", help="also train on AQMAR")
    parser.add_argument("--with-development", action="store_true", help="also train on the development part")
    parser.add_argument("--start", type=Path, help="weights to start from")
    parser.add_argument("--earlier", type=Path, nargs="*", default=[], help="weights of runs whose labels are mixed in")
    parser.add_argument("--teachers-share", type=float, default=0.67, help="share of the teachers in this mixture")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
