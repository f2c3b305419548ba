"""Write the shipped model: the network in 8 bits, its tables, its pieces, and how often words were seen in names.

    python -m training.ner.export enrich/entities/recognition/model WEIGHTS SILVER [SILVER ...] --data DATA

Weights have 7 bits, so that CPUs without 8-bit dot products compute the same sums.
"""

import argparse
import json
import pickle
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from enrich.entities.gazetteer.entries import load as gazetteer
from enrich.entities.recognition.decoding import LABELS
from enrich.entities.recognition.student import LARGEST
from enrich.text.tokens import form, is_arabic, tokens
from training.ner import corpora, encoder, student
from training.ner.network import DILATIONS, WIDTH, Network, Words

_ZERO = 128
_WEIGHT_LIMIT = 63
_STEPS = sorted(set(DILATIONS))
# Minimum probability of a name among the teachers' labels, and minimum count.
_MIN_PROBABILITY = 0.7
_MIN_COUNT = 2
_IN_GAZETTEER = 20


def rounded_table(weights: torch.Tensor) -> np.ndarray:
    """A table in 8 bits. Its scale does not matter: results are normalised to mean 0 and variance 1."""
    values = weights.detach().numpy()
    limit = np.quantile(np.abs(values), 0.9995)
    return np.clip(np.rint(values / limit * 127), -127, 127).astype(np.int8)


class _Graph:
    """Collects nodes and constants."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, values: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def node(
        self, kind: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: object
    ) -> str | list[str]:
        names = [f"n{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def linear(self, quantized: str, scale: str, layer: torch.nn.Linear) -> str:
        """A linear layer over 8-bit inputs, to floats."""
        weights = layer.weight.detach().numpy()
        scales = np.abs(weights).max(1) / _WEIGHT_LIMIT
        whole = np.rint(weights / scales[:, None]).astype(np.int8).T
        return self.node(
            "MatMulIntegerToFloat",
            quantized,
            self.constant(np.ascontiguousarray(whole)),
            scale,
            self.constant(scales.astype(np.float32)),
            self.constant(np.array(_ZERO, np.uint8)),
            "",
            self.constant(layer.bias.detach().numpy()),
            domain="com.microsoft",
        )

    def normal(self, states: str, layer: torch.nn.LayerNorm) -> str:
        weight, bias = (self.constant(part.detach().numpy()) for part in (layer.weight, layer.bias))
        return self.node("LayerNormalization", states, weight, bias, axis=-1, epsilon=layer.eps)


def graph(network: Network, limits: Sequence[float]) -> onnx.ModelProto:
    """The network after the word vectors; ``limits`` are the largest inputs of each block and of the last layer."""
    made = _Graph()
    scale = made.constant(np.array(LARGEST / 127, np.float32))
    zero = made.constant(np.array(_ZERO, np.uint8))
    nothing = made.constant(np.full((1, WIDTH), _ZERO, np.uint8))
    states = made.normal(made.node("Relu", made.linear("words", scale, network.join)), network.norm)
    rows = [
        made.node("Gather", "taps", made.constant(np.array(row, np.int64)), axis=0) for row in range(2 * len(_STEPS))
    ]
    for block, limit in zip(network.blocks, limits, strict=False):
        scale = made.constant(np.array(limit / 127, np.float32))
        quantized = made.node("QuantizeLinear", states, scale, zero)
        extended = made.node("Concat", quantized, nothing, axis=0)
        at = 2 * _STEPS.index(block.dilation)
        sides = [made.node("Gather", extended, rows[at + side], axis=0) for side in (0, 1)]
        joined = made.node("Concat", sides[0], quantized, sides[1], axis=1)
        value, gate = made.node("Split", made.linear(joined, scale, block.mix), outputs=2, axis=1, num_outputs=2)
        gated = made.node("Mul", value, made.node("Sigmoid", gate))
        states = made.normal(made.node("Add", states, gated), block.norm)
    scale = made.constant(np.array(limits[-1] / 127, np.float32))
    logits = made.linear(made.node("QuantizeLinear", states, scale, zero), scale, network.labels)
    made.nodes.append(helper.make_node("LogSoftmax", [logits], ["scores"], axis=-1))
    words = network.pieces.embedding_dim + network.hashed.embedding_dim
    body = helper.make_graph(
        made.nodes,
        "recognition",
        [
            helper.make_tensor_value_info("words", TensorProto.UINT8, ["count", words]),
            helper.make_tensor_value_info("taps", TensorProto.INT64, [2 * len(_STEPS), "count"]),
        ],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["count", len(LABELS)])],
        made.constants,
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(body, opset_imports=opsets, ir_version=9)


def limits_of(network: Network, words: Words, sentences: Sequence[Sequence[str]]) -> list[float]:
    """The largest inputs of each block and of the last layer on some sentences, without the largest 0.01%."""
    inputs_seen: list[torch.Tensor] = []
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs: inputs_seen.append(inputs[0].detach()))
        for layer in (*network.blocks, network.labels)
    ]
    student.probabilities(network, words, sentences)
    for hook in hooks:
        hook.remove()
    return [float(np.quantile(states.abs().numpy(), 0.9999)) for states in inputs_seen]


def name_counts(silver: Sequence[Path], data: Path) -> Counter[str]:
    """How often words, in their matching form, occur in names of the gazetteer and of the texts."""
    counts: Counter[str] = Counter()
    for entry_aliases in gazetteer().aliases.values():
        for alias in entry_aliases:
            if alias.language == "ar":
                counts.update({word: _IN_GAZETTEER for word in alias.forms if len(word) > 2})
    for path in silver:
        with path.open("rb") as file:
            sentences, logs = pickle.load(file)
        for sentence, rows in zip(sentences, logs, strict=True):
            for at in np.flatnonzero(rows[:, 0] < np.log(1 - _MIN_PROBABILITY)):
                word = form(sentence[at][:60])
                if len(word) > 2 and is_arabic(word):
                    counts[word] += 1
    training, _ = corpora.anercorp(data)
    for sentence in training:
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            if tag != "O" and is_arabic(word):
                counts.update(token.form for token in tokens(word) if len(token.form) > 2)
    return Counter({word: count for word, count in counts.items() if count >= _MIN_COUNT})


def main() -> None:
    """Read the command line and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("silver", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--mean-with",
        type=Path,
        nargs="*",
        default=[],
        help="weights of earlier or later runs to average with",
    )
    parser.add_argument("--bias", type=float, default=0.3, help="bias towards names (log)")
    parser.add_argument("--consistency", type=float, default=0.6, help="weight of a word's earlier occurrences")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    packed = encoder.unpack()
    numbers = student.vocabulary(packed)
    network = Network(len(numbers)).eval()
    runs = [torch.load(path) for path in (arguments.weights, *arguments.mean_with)]
    network.load_state_dict({name: torch.stack([run[name] for run in runs]).mean(0) for name in runs[0]})
    words = Words(student.cutter(packed))
    _, development = corpora.anercorp(arguments.data)
    limits = limits_of(network, words, [s.words for s in development])
    onnx.save(graph(network, limits), arguments.out / "network.onnx")
    np.save(arguments.out / "pieces.npy", rounded_table(network.pieces.weight))
    np.save(arguments.out / "hashed.npy", rounded_table(network.hashed.weight))
    encoder.write_pieces(arguments.out / "pieces.txt", packed, numbers)
    by_count: dict[int, list[str]] = {}
    for word, count in name_counts(arguments.silver, arguments.data).items():
        by_count.setdefault(count, []).append(word)
    names = [f"{count} {' '.join(sorted(of_count))}\n" for count, of_count in sorted(by_count.items())]
    (arguments.out / "names.txt").write_text("".join(names), encoding="utf-8")
    config = {"dilations": _STEPS, "name_bias": arguments.bias, "consistency": arguments.consistency}
    (arguments.out / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    for path in sorted(arguments.out.iterdir()):
        print(f"{path.name} {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
