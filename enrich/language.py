"""Which language a text is in: ISO 639-1 with a score from 0 to 1, or ``und`` when nothing speaks for one."""

import functools

import regex
from py3langid.langid import MODEL_FILE, LanguageIdentifier

_LETTERS = regex.compile(r"\p{L}")
# The beginning tells the language as well as the whole, at a fraction of the cost.
_ENOUGH = 1_500
_SURE = 0.2
# Arabic written otherwise is Arabic to a reader: Egyptian, Moroccan; Western Punjabi is mistaken for it.
_MERGED = {"arz": "ar", "ary": "ar", "pnb": "ar"}

UNDETERMINED = "und"


@functools.cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def detect(text: str, hint: str | None = None) -> tuple[str, float]:
    """Language and score of a text; ``hint`` (the publisher's claim) decides only where the text does not."""
    sample = text[:_ENOUGH]
    claimed = hint.replace("_", "-").split("-")[0].lower() if hint else None
    if not _LETTERS.search(sample):
        return UNDETERMINED, 0.0
    code, score = _identifier().classify(sample)
    code = _MERGED.get(code, code)
    if score < _SURE:
        return (claimed, round(float(score), 4)) if claimed and len(claimed) == 2 else (UNDETERMINED, 0.0)
    return code, round(float(score), 4)
