"""Label the articles of the ANT corpus with fine-tuned teachers.

    python -m training.ner.silver OUT TEACHER [TEACHER ...] --data DATA

OUT is a file of sentences and log-probabilities (the mean over the teachers).
"""

import argparse
import pickle
import time
from pathlib import Path

import numpy as np

from training.ner import corpora, teacher

_BATCH = 200


def main() -> None:
    """Read the command line, label and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("teachers", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--skip", type=int, default=0, help="articles to leave out because they are labelled already")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after this time and write the labels so far")
    arguments = parser.parse_args()
    articles = list(corpora.ant(arguments.data))[arguments.skip :]
    teachers, pieces = teacher.load(arguments.teachers)
    teachers = [teacher.quantized(one) for one in teachers]
    sentences: list[list[str]] = []
    labels: list[np.ndarray] = []
    words, began = 0, time.monotonic()
    for at in range(0, len(articles), _BATCH):
        fresh = [sentence for article in articles[at : at + _BATCH] for sentence in article]
        labels += [logs.astype(np.float16) for logs in teacher.probabilities(teachers, pieces, fresh)]
        sentences += fresh
        words += sum(map(len, fresh))
        took = time.monotonic() - began
        print(f"{at + _BATCH}/{len(articles)} articles, {words} words, {took:.0f} s", flush=True)
        if took > 60 * arguments.minutes:
            break
    with arguments.out.open("wb") as file:
        pickle.dump((sentences, labels), file)


if __name__ == "__main__":
    main()
