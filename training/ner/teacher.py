"""Fine-tune the multilingual encoder on annotated sentences, several in a row as context.

    python -m training.ner.teacher OUT --data DATA [--seed 1] [--aqmar] [--with-development]

OUT is a file of weights. Without ``--with-development`` the F1 on the development part is printed after each epoch.
"""

import argparse
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from enrich.entities.recognition.decoding import LABELS, decode
from evaluation.ner import Sentence, score
from training.ner import corpora, encoder

WINDOW = 200
_STEP = 1000
_IGNORED = -100
_MAX_WORDS = 90
_UNKNOWN_SHARE = 0.06
_NUMBERS = {label: number for number, label in enumerate(LABELS)} | {corpora.IGNORED: _IGNORED}


class Teacher(nn.Module):
    """The encoder with a linear layer for the labels."""

    def __init__(self, packed: encoder.Packed, numbers: list[int]) -> None:
        super().__init__()
        self.encoder = encoder.build(packed, numbers)
        self.dropout = nn.Dropout(0.15)
        self.labels = nn.Linear(encoder.WIDTH, len(LABELS))

    def forward(self, ids: torch.Tensor, attention: torch.Tensor) -> torch.Tensor:
        """Logits [batch, pieces, labels]."""
        states = self.encoder(input_ids=ids, attention_mask=attention).last_hidden_state
        return self.labels(self.dropout(states))


class Window(NamedTuple):
    """Consecutive sentences: pieces, and for each word the index of its first piece and its (sentence, word)."""

    ids: list[int]
    firsts: list[int]
    words: list[tuple[int, int]]


def windows(pieces: encoder.Pieces, sentences: Sequence[Sequence[str]], offset: int = 0) -> list[Window]:
    """Cut a text into windows of whole sentences; ``offset`` shortens the first, so that cuts differ between epochs."""
    made: list[Window] = []
    current = Window([encoder.BEGIN], [], [])
    capacity = WINDOW - offset
    for number, sentence in enumerate(sentences):
        for start in range(0, len(sentence), _MAX_WORDS):
            parts = [pieces.of(word) for word in sentence[start : start + _MAX_WORDS]]
            if current.words and len(current.ids) + sum(map(len, parts)) + 1 > capacity:
                made.append(current)
                current, capacity = Window([encoder.BEGIN], [], []), WINDOW
            for word, part in enumerate(parts, start):
                current.firsts.append(len(current.ids))
                current.words.append((number, word))
                current.ids.extend(part)
            current.ids.append(encoder.END)
    return [*made, current] if current.words else made


def batches(made: list[Window], budget: int) -> list[list[Window]]:
    """Batches of windows of similar length, with at most ``budget`` pieces including padding."""
    found: list[list[Window]] = []
    for window in sorted(made, key=lambda window: len(window.ids)):
        if found and (len(found[-1]) + 1) * len(window.ids) <= budget:
            found[-1].append(window)
        else:
            found.append([window])
    return found


def padded(batch: list[Window]) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, attention) of a batch."""
    width = max(len(window.ids) for window in batch)
    ids = torch.full((len(batch), width), encoder.PAD)
    for row, window in enumerate(batch):
        ids[row, : len(window.ids)] = torch.tensor(window.ids)
    return ids, (ids != encoder.PAD).long()


def probabilities(
    teachers: Sequence[Teacher], pieces: encoder.Pieces, sentences: Sequence[Sequence[str]], budget: int = 4000
) -> list[np.ndarray]:
    """Log of the mean probabilities [words, labels] of teachers, one array per sentence."""
    found = [np.zeros((len(sentence), len(LABELS)), np.float32) for sentence in sentences]
    with torch.inference_mode():
        for batch in batches(windows(pieces, sentences), budget):
            ids, attention = padded(batch)
            mean = torch.stack([teacher(ids, attention).softmax(-1) for teacher in teachers]).mean(0)
            logs = mean.clamp_min(1e-6).log().numpy()
            for row, window in enumerate(batch):
                for first, (number, word) in zip(window.firsts, window.words, strict=True):
                    found[number][word] = logs[row, first]
    return found


def load(paths: Sequence[Path]) -> tuple[list[Teacher], encoder.Pieces]:
    """Fine-tuned teachers in evaluation mode, and their pieces."""
    packed = encoder.unpack()
    numbers = encoder.kept(packed)
    teachers = []
    for path in paths:
        teacher = Teacher(packed, numbers)
        teacher.load_state_dict(torch.load(path))
        teachers.append(teacher.eval())
    return teachers, encoder.Pieces(packed, numbers)


def quantized(teacher: Teacher) -> nn.Module:
    """The teacher with 8-bit products, for labelling large amounts of text on a CPU.

    The second layer of each feed-forward part is not quantized: its inputs have outliers that 8 bits cannot represent
    (F1 on the development part 0.717 this way, 0.714 in full precision, but 0.680 with all layers in 8 bits).
    """
    chosen = {
        name: torch.ao.quantization.per_channel_dynamic_qconfig
        for name, layer in teacher.named_modules()
        if isinstance(layer, nn.Linear) and ("attention" in name or "intermediate" in name)
    }
    return torch.ao.quantization.quantize_dynamic(teacher, chosen, dtype=torch.qint8)


def measure(teachers: Sequence[Teacher], pieces: encoder.Pieces, sentences: Sequence[Sentence]) -> dict:
    """Entity precision, recall and F1 of teachers on annotated sentences."""
    scores = probabilities(teachers, pieces, [sentence.words for sentence in sentences])
    return score([s.tags for s in sentences], [[LABELS[label] for label in decode(rows)] for rows in scores])


def _targets(batch: list[Window], sentences: Sequence[Sentence], width: int) -> torch.Tensor:
    targets = torch.full((len(batch), width), _IGNORED)
    for row, window in enumerate(batch):
        tags = [_NUMBERS[sentences[number].tags[word]] for number, word in window.words]
        targets[row, window.firsts] = torch.tensor(tags)
    return targets


def train(arguments: argparse.Namespace) -> None:
    """Train one teacher and write its weights after each epoch."""
    random.seed(arguments.seed)
    torch.manual_seed(arguments.seed)
    gold, development = corpora.anercorp(arguments.data)
    texts = [gold]
    if arguments.with_development:
        texts.append(development)
    if arguments.aqmar:
        texts.append(corpora.aqmar(arguments.data))
    packed = encoder.unpack()
    numbers = encoder.kept(packed)
    teacher = Teacher(packed, numbers)
    pieces = encoder.Pieces(packed, numbers)
    # The pretrained word pieces are frozen: a few thousand sentences would only degrade them.
    teacher.encoder.embeddings.word_embeddings.weight.requires_grad_(False)
    head = list(teacher.labels.parameters())
    body = [weight for weight in teacher.encoder.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(
        [{"params": body, "lr": arguments.rate}, {"params": head, "lr": 10 * arguments.rate}], weight_decay=0.01
    )
    total = arguments.epochs * sum(len(batches(windows(pieces, [s.words for s in text]), _STEP)) for text in texts)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / (0.1 * total)) * max(0.01, 1 - step / total)
    )
    loss_of = nn.CrossEntropyLoss(ignore_index=_IGNORED)
    for epoch in range(arguments.epochs):
        teacher.train()
        began, losses = time.monotonic(), []
        steps = []
        for text in texts:
            offset = random.randrange(WINDOW // 2)
            for batch in batches(windows(pieces, [s.words for s in text], offset), _STEP):
                steps.append((batch, text))
        random.shuffle(steps)
        for batch, text in steps:
            ids, attention = padded(batch)
            targets = _targets(batch, text, ids.shape[1])
            hidden = (torch.rand(ids.shape) < _UNKNOWN_SHARE) & (ids >= encoder.UNKNOWN)
            logits = teacher(ids.masked_fill(hidden, encoder.UNKNOWN), attention)
            loss = loss_of(logits.flatten(0, 1), targets.flatten())
            loss.backward()
            nn.utils.clip_grad_norm_([*body, *head], 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            losses.append(loss.item())
            if len(losses) % 100 == 0:
                print(f"  {len(losses)}/{len(steps)} {np.mean(losses[-100:]):.4f}", flush=True)
        teacher.eval()
        took = time.monotonic() - began
        figure = measure([teacher], pieces, development)["all"]
        print(
            f"epoch {epoch + 1} loss {np.mean(losses):.4f} development F1 {figure['f1']:.4f} "
            f"P {figure['precision']:.4f} R {figure['recall']:.4f} {took:.0f} s",
            flush=True,
        )
        torch.save(teacher.state_dict(), arguments.out)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--aqmar", action="store_true", help="also train on AQMAR")
    parser.add_argument("--with-development", action="store_true", help="also train on the development part")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
