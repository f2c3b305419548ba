"""One spelling for what Arabic writing leaves open, so that a word is found however it was typed."""

from camel_tools.utils.normalize import normalize_alef_ar, normalize_alef_maksura_ar, normalize_teh_marbuta_ar

# Diacritics and tatweel. (camel-tools' dediac_ar takes diacritics off too, but brings 30 MB of character sets along.)
_WITHOUT_MARKS = dict.fromkeys((0x640, *range(0x64B, 0x653), 0x670))


def arabic(text: str) -> str:
    """No diacritics, no tatweel; the alefs alike, alef maksura as yeh, teh marbuta as heh. All else stays."""
    bare = text.translate(_WITHOUT_MARKS)
    return str(normalize_teh_marbuta_ar(normalize_alef_maksura_ar(normalize_alef_ar(bare))))
