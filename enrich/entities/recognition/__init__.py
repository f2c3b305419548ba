"""Recognition: which words of a text name a person, a place, an organisation or something else.

============= =================================================================================================
tiers         ``load`` makes the recognizer of a tier
recognizer    ``NameSpan`` and ``Recognizer``, the interface of all tiers
student       the default tier: a small network, shipped in ``model/``
transformer   the quality tier: the multilingual encoder that trained it, from a folder that the operator names
camel         the camel tier: camel-tools' recognizer, where it is installed
capitals      rules for languages with capitals: names next to an unambiguous cue
sentences     passage → sentences of words and punctuation
word_features word → pieces and hashed features, the input of the network
decoding      probabilities → names; a word that is named again keeps its type
spans         names → their offsets in the text
boundaries    Arabic names that were cut, or are part of another name
clitics       و ف ب ل ك at the beginning of a name's first word: particle or letter
model/        the network of the default tier
============= =================================================================================================

``training/README.md`` describes how the network was made.
"""

import os

# onnxruntime reports its use to Microsoft, unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from enrich.entities.recognition.recognizer import NameSpan, Recognizer
from enrich.entities.recognition.tiers import TIERS, load

__all__ = ["TIERS", "NameSpan", "Recognizer", "load"]
