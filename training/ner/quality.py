"""Write a fine-tuned teacher as the quality tier's folder: ``encoder.onnx`` and ``pieces.txt``.

    python -m training.ner.quality OUT TEACHER [--arabic-only]

``--arabic-only`` leaves out the pieces of other scripts: a quarter of the size, for Arabic only.
"""

import argparse
from pathlib import Path

import torch
from torch import nn

from training.ner import encoder
from training.ner.teacher import Teacher


def main() -> None:
    """Read the command line and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("--arabic-only", action="store_true")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    packed = encoder.unpack()
    numbers = encoder.kept(packed)
    teacher = Teacher(packed, numbers)
    teacher.load_state_dict(torch.load(arguments.teacher))
    if arguments.arabic_only:
        arabic = encoder.kept(packed, arabic_only=True)
        index = {number: at for at, number in enumerate(numbers)}
        rows = [index[number] for number in arabic if number in index]
        numbers = [numbers[row] for row in rows]
        weights = teacher.encoder.embeddings.word_embeddings.weight.detach()[rows].clone()
        teacher.encoder.embeddings.word_embeddings = nn.Embedding.from_pretrained(weights, padding_idx=encoder.PAD)
    teacher.eval()
    ids = torch.randint(encoder.UNKNOWN, 1000, (1, 24))
    torch.onnx.export(
        teacher,
        (ids, torch.ones_like(ids)),
        arguments.out / "encoder.onnx",
        input_names=["ids", "attention"],
        output_names=["logits"],
        dynamic_axes={name: {0: "batch", 1: "pieces"} for name in ("ids", "attention", "logits")},
        opset_version=18,
        dynamo=False,
    )
    encoder.write_pieces(arguments.out / "pieces.txt", packed, numbers)
    print(f"{(arguments.out / 'encoder.onnx').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
