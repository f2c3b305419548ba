"""Recognition: which words of a text name a person, a place, an organisation or something else.

============ =============================================================================================
tiers        ``load`` makes the recognizer of a tier
recognizer   ``Span`` and ``Recognizer``, what all tiers give
student      the default tier: a small network, shipped in ``model/``
transformer  the quality tier: the multilingual encoder that taught it, from a folder that the operator names
camel        the camel tier: camel-tools' recognizer, where it is installed
capitals     rules for languages with capitals: names that a sure cue stands beside
sentences    passage → sentences of words and marks
features     word → pieces and hashed features, which the network sees
decoding     probabilities → names; a word that is named again stays what it was
spans        names → where they stand in the text
clitics      و ف ب ل ك at the beginning of a name's first word: particle or letter
============ =============================================================================================

How the network was made stands in ``training/README.md``.
"""

import os

# onnxruntime reports its use to Microsoft, unless this stands there before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from enrich.recognition.recognizer import Recognizer, Span
from enrich.recognition.tiers import TIERS, load

__all__ = ["TIERS", "Recognizer", "Span", "load"]
