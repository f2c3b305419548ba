"""One spelling for what Arabic writing leaves open, so that a word is found however it was typed."""

from services import arabic as _arabic

# Diacritics and tatweel. (camel-tools' dediac_ar takes diacritics off too, but brings 30 MB of character sets along.)
_WITHOUT_MARKS = dict.fromkeys((0x640, *range(0x64B, 0x653), 0x670))


def arabic(text: str) -> str:
    """No diacritics, no tatweel; the alefs alike, alef maksura as yeh, teh marbuta as heh. All else stays."""
    return _arabic.letters(text.translate(_WITHOUT_MARKS))
