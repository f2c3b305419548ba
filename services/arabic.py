"""Letter normalisation of camel-tools, or an equivalent where camel-tools is not installed.

camel-tools requires torch and transformers (5 GB), of which the three functions used here need nothing. It is
therefore an optional dependency (extra ``camel``; ``make setup`` installs it without torch). Both implementations give
the same result for every character, which tests/services/test_arabic.py checks.
"""

import re
import unicodedata

import regex

_ALEF_FORMS = re.compile("[أإآٱ]")
# As in Unicode's Stream-Safe Text Format. A language has at most a few marks on a letter.
_MOST_MARKS = 30
_EXCESS_MARKS = regex.compile(rf"(\p{{M}}{{{_MOST_MARKS}}})\p{{M}}++")


def limit_marks(text: str) -> str:
    """The text with at most 30 combining marks in a row: the time of ``unicodedata`` grows with the square of them."""
    return text if text.isascii() else _EXCESS_MARKS.sub(r"\1", text)


def own_letters(text: str) -> str:
    """As ``letters``, without camel-tools."""
    return _ALEF_FORMS.sub("ا", text).replace("ى", "ي").replace("ة", "ه")


def own_unicode(text: str) -> str:
    """As ``normalize_unicode``, without camel-tools."""
    # NFKC spells these two ligatures in presentation order; camel-tools writes them as words.
    spelled = limit_marks(text).replace("\ufdfc", "ريال").replace("\ufdfd", "بسم الله الرحمن الرحيم")
    return unicodedata.normalize("NFKC", spelled)


try:
    from camel_tools.utils import normalize as _camel
except ImportError:
    _camel = None


def letters(text: str) -> str:
    """Hamza forms of alef as alef, alef maksura as yeh, teh marbuta as heh; everything else is unchanged."""
    if _camel is None:
        return own_letters(text)
    return str(_camel.normalize_teh_marbuta_ar(_camel.normalize_alef_maksura_ar(_camel.normalize_alef_ar(text))))


def normalize_unicode(text: str) -> str:
    """NFKC, with the ligatures for rial and basmala spelled out."""
    return own_unicode(text) if _camel is None else str(_camel.normalize_unicode(limit_marks(text)))
