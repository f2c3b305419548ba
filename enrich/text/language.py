"""Language detection: the ISO 639-1 code of a text with a score from 0 to 1, or ``und`` when it cannot be detected.

Letters are counted to find the script; then a classifier (py3langid) weighs the languages of that script on samples
from all parts of the text. The score is the probability of the language times the share of the text's letters that
are in its script: an Arabic article with English names in it scores less than one without.
"""

import copy
import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import regex
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from enrich.languages import LANGUAGES, files
from enrich.text.tokens import form
from enrich.text.word_counts import word_counts

UNDETERMINED = "und"


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# Letters are counted in this many characters; the rest hardly changes which script has most of them.
_COUNTED = 20_000
# A sample is three pieces of this many characters. The larger size is used only where the smaller is not conclusive.
_PIECES = 3
_SIZES = (60, 400)
_CLEAR = 0.9
# The least probability that is reported.
_SURE = 0.4

# First code point, last code point, script.
_RANGES = (
    (0x41, 0x5A, "Latin"),
    (0x61, 0x7A, "Latin"),
    (0xC0, 0x24F, "Latin"),
    (0x1E00, 0x1EFF, "Latin"),
    (0x370, 0x3FF, "Greek"),
    (0x1F00, 0x1FFF, "Greek"),
    (0x400, 0x52F, "Cyrillic"),
    (0x530, 0x58F, "Armenian"),
    (0x5D0, 0x5EA, "Hebrew"),
    (0x620, 0x64A, "Arabic"),
    (0x66E, 0x6D5, "Arabic"),
    (0x6EE, 0x6EF, "Arabic"),
    (0x6FA, 0x6FF, "Arabic"),
    (0x750, 0x77F, "Arabic"),
    (0x8A0, 0x8C9, "Arabic"),
    (0xFB50, 0xFDFF, "Arabic"),
    (0xFE70, 0xFEFE, "Arabic"),
    (0x904, 0x939, "Devanagari"),
    (0x985, 0x9B9, "Bengali"),
    (0xA05, 0xA39, "Gurmukhi"),
    (0xA85, 0xAB9, "Gujarati"),
    (0xB05, 0xB39, "Oriya"),
    (0xB83, 0xBB9, "Tamil"),
    (0xC05, 0xC39, "Telugu"),
    (0xC85, 0xCB9, "Kannada"),
    (0xD05, 0xD3A, "Malayalam"),
    (0xD85, 0xDC6, "Sinhala"),
    (0xE01, 0xE2E, "Thai"),
    (0xE81, 0xEAE, "Lao"),
    (0xF40, 0xF6C, "Tibetan"),
    (0x1000, 0x102A, "Myanmar"),
    (0x10A0, 0x10FF, "Georgian"),
    (0x1100, 0x11FF, "Hangul"),
    (0x1200, 0x135A, "Ethiopic"),
    (0x1780, 0x17B3, "Khmer"),
    (0x3041, 0x30FF, "Han"),  # kana too: Japanese mixes them with Han
    (0x3400, 0x4DBF, "Han"),
    (0x4E00, 0x9FFF, "Han"),
    (0xAC00, 0xD7A3, "Hangul"),
)
_SCRIPTS = tuple(dict.fromkeys(name for _, _, name in _RANGES))
# A character of these scripts counts as two letters of an alphabet.
_DENSE = _words("Han Hangul")
_WEIGHTS = np.array([2 if name in _DENSE else 1 for name in _SCRIPTS])
_CASED = _words("Armenian Cyrillic Greek Latin")

# The classifier's labels by script, besides those of registered languages. Each script that is not here has one or two
# languages, which the classifier distinguishes without help. Labels neither here nor in ``_OTHER`` are Latin.
_LABELS = {
    "Arabic": _words("ku ps sdh ug ur uzs"),
    "Cyrillic": _words("ba be bg kk ky mk mn sr tg tt uz"),
    "Devanagari": _words("gom hi mr ne sa"),
    "Greek": _words("el grc"),
    "Han": _words("ja wuu yue zh"),
    "Hebrew": _words("hbo he"),
}
_BOTH = _words("ku sr uz")
_OTHER = _words("am as bn dz gu hy ka km kn ko lo ml my or pa si ta te th")
# Varieties, with the ISO 639-1 code of their language. Those of registered languages are in the registry.
_CODES = {label: language.code for language in LANGUAGES for label in language.varieties} | {
    "grc": "el", "gug": "gn", "hbo": "he", "kik": "ki", "nn": "no", "sdh": "ku",
    "uzs": "uz", "wuu": "zh", "yue": "zh",
}  # fmt: skip
# Prior probabilities. Without them the probability of a short text is spread over all relatives of its language, even
# those without newspapers; a whole article outweighs the prior. Registered languages are frequent.
_FREQUENT = _words("he hi id ja ko nl pl ro sdh sv ur wuu yue zh zxx").union(
    *(language.labels for language in LANGUAGES)
)
_RARE = _words("an ba br eo gd grc hbo ht jv la lb oc qu sa tt uzs vo wa")
_USUAL, _UNUSUAL, _UNCODED = 0.3, 0.05, 0.02
_NEGLIGIBLE = 0.001

_LONGEST_NAME = 80
_WORDS_OF_A_NAME = 4
_ARABIC_WORDS_OF_A_NAME = 2
# Arabic in the Latin letters of chats, where digits are sounds («7abibi», «ma3», «el sou2»).
_CHAT = regex.compile(r"(?<![A-Za-z\d])(?:[a-z]++[23579]|[235679][a-z]{2})[a-z\d]*+(?![A-Za-z\d])")
_CHAT_SHARE = 0.15
_ADDRESS = regex.compile(r"[\d/@_]")
_WORD = regex.compile(r"[\p{L}\p{M}]++")


# Languages of the Arabic script that the classifier does not know, by letters that no other language of the script has
# (Saraiki has no ISO 639-1 code); part of the words that must have one.
_OWN_LETTERS = {
    "sd": regex.compile("[ٻڀٺٽٿڃڄڇڌڊڍڏڙڦڱڳڻ۽۾]"),
    "ks": regex.compile("[ؠٲٳۄ\u0656\u0657\u065a\u065b\u065f]"),
    "ms": regex.compile("[ڠڬڽۏݢ]"),
    UNDETERMINED: regex.compile("[ݙݨ]"),
}
_OWN_SHARE = 0.15
# Punjabi in Arabic script has the letters of Urdu, and other small words.
_PUNJABI = _words("وچ وچوں نوں دا دیاں تے اے ایہ اوہ نیں ایس اوس ہن کیہ ایہناں اوہناں")
_URDU = _words("میں کا کے کی کو سے ہے ہیں تھا تھے تھی اور یہ وہ نہیں گا گی پر بھی")
# The Azerbaijani of Iran has the letters of Persian, but other small words, endings and vowels. Turkic in Arabic script
# is Uzbek only where it has its own letters.
_AZERI = regex.compile(
    r"(?<!\p{L})(?:بیر|بو|ایله|اوچون|ائله|اولان|اولدو|چوخ|داها|سونرا|یئنی|نئجه|کیمی|ائتدی|ائدیب|دئدی|دئییر|یوخ)(?!\p{L})"
    r"|(?:لر|لار)(?:ی|ین|ده|دا|دن|دان|ه|ا)?(?!\p{L})|\p{L}(?:دیر|دیلر|دیلار|نین|یندا|یندن)(?!\p{L})|[گسک]ؤ|یئ|دئ"
)
_AZERI_SHARE = 0.3
_PERSIAN = _words("از که را در با است شد شده می این آن برای های تا بر هم")
_UZBEK_LETTERS = regex.compile("[ېۉ]")
# The Arabic of a Persian keyboard has two letters of Persian, but the article and the endings of Arabic.
_PERSIAN_KEYS, _ARABIC_KEYS = regex.compile("[یک]"), regex.compile("[يك]")
_ARABIC_WORDS = regex.compile(r"(?<!\p{L})و?ال\p{L}{3,20}+|\p{L}{0,20}[ةأإى]\p{L}{0,20}+")
_NOT_ARABIC = regex.compile("[ٹڈڑےںہەېۆێۇ]")
_TRAITS_SHARE = 0.25
_NOT_ARABIC_SPELLING = regex.compile("[یکپچژگٹڈڑےںہە]")
# How often a word of a short headline was counted in Arabic news.
_KNOWN = 3
_GIVEN_NAMES = Path(__file__).parent.parent / "entities" / "gazetteer" / "given_names.tsv"
_AS_ARABIC = str.maketrans("یک", "يك")


def detect(text: str, hint: str | None = None) -> tuple[str, float]:
    """Language and score of a text; ``hint`` (the publisher's claim) is used only where the text is not conclusive.

    The code has two letters or is ``und`` with score 0: for numbers and symbols, a name and nothing else, Arabic in
    Latin letters, and languages without an ISO 639-1 code. A mixed text is in the language of most of its letters.
    The score of a hint is the probability of that language in the text, often close to 0; a hint whose language is not
    written in the text's script is ignored.
    """
    script, share = _script(text[:_COUNTED])
    if script is None:
        return UNDETERMINED, 0.0
    if script == "Arabic":
        code = _by_letters(text[:_COUNTED])
        if code is not None:
            return code, 0.0 if code == UNDETERMINED else round(share, 4)
        text = _from_arabic_keyboard(text)
    odds = _odds(text, script, foreign=share < 1)
    if script == "Arabic":
        odds = _among_relatives(odds, text[:_COUNTED])
    code = max(odds, key=lambda one: odds[one], default=UNDETERMINED)
    if code != UNDETERMINED and odds[code] >= _SURE and not _is_name(text, script):
        return code, round(odds[code] * share, 4)
    claimed = hint.replace("_", "-").split("-")[0].lower() if hint else UNDETERMINED
    if claimed in _codes(script):
        return claimed, round(odds.get(claimed, 0.0) * share, 4)
    return UNDETERMINED, 0.0


def _script(text: str) -> tuple[str | None, float]:
    """The script of most letters and its share of them; None where there are no letters."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    counts = np.bincount(_scripts()[np.minimum(points, 0xFFFF)], minlength=len(_SCRIPTS) + 1)[1:] * _WEIGHTS
    letters = int(counts.sum())
    if not letters:
        return None, 0.0
    most = int(counts.argmax())
    return _SCRIPTS[most], int(counts[most]) / letters


@functools.cache
def _scripts() -> npt.NDArray[np.uint8]:
    """For each code point of the basic plane the number of its script from 1, or 0."""
    table = np.zeros(0x10000, dtype=np.uint8)
    for first, last, name in _RANGES:
        table[first : last + 1] = _SCRIPTS.index(name) + 1
    table[[0xD7, 0xF7]] = 0  # multiplication and division signs, among the Latin letters
    return table


def _odds(text: str, script: str, foreign: bool) -> dict[str, float]:
    """The probability of each code; labels without a code are ``und``. Empty without evidence."""
    odds: dict[str, float] = {}
    for size in _SIZES:
        sample = _sample(text, size)
        if foreign:
            sample = _foreign(script).sub(" ", sample)
        if script == "Latin":
            sample = _plain(sample)
        odds = _weigh(sample, script)
        if max(odds.values(), default=0) >= _CLEAR or len(text) <= size * _PIECES:
            break
    return odds


def _by_letters(text: str) -> str | None:
    """The language of a text in Arabic script whose words often have letters that only this language has, or None."""
    words = text.count(" ") + 1
    counts = {code: len(letters.findall(text)) for code, letters in _OWN_LETTERS.items()}
    most = max(counts, key=lambda code: counts[code])
    return most if counts[most] >= words * _OWN_SHARE else None


def _from_arabic_keyboard(text: str) -> str:
    """The text; one in Arabic that was typed on a Persian keyboard in the letters of Arabic."""
    sample = text[:_COUNTED]
    if len(_PERSIAN_KEYS.findall(sample)) <= len(_ARABIC_KEYS.findall(sample)) or _NOT_ARABIC.search(sample):
        return text
    words = _ARABIC_WORDS.findall(sample)
    is_arabic = len(set(words)) > 1 and len(words) >= (sample.count(" ") + 1) * _TRAITS_SHARE
    return text.translate(_AS_ARABIC) if is_arabic else text


def _among_relatives(odds: dict[str, float], text: str) -> dict[str, float]:
    """The odds with the names of languages that the classifier takes for a relative."""
    renamed = {}
    words = _WORD.findall(text)
    if "ur" in odds and _count(words, _PUNJABI) > max(1, _count(words, _URDU)):
        renamed["ur"] = "pa"
    if "uz" in odds and not _UZBEK_LETTERS.search(text):
        renamed["uz"] = "az"
    if "fa" in odds and len(_AZERI.findall(text)) >= max(2, len(words) * _AZERI_SHARE, 1 + _count(words, _PERSIAN)):
        renamed["fa"] = "az"
    joined: dict[str, float] = {}
    for code, probability in odds.items():
        name = renamed.get(code, code)
        joined[name] = joined.get(name, 0.0) + probability
    return joined


def _count(words: list[str], of: frozenset[str]) -> int:
    return sum(word in of for word in words)


def _sample(text: str, size: int) -> str:
    """Pieces from the beginning, the middle and the end, without words cut in two."""
    if len(text) <= size * _PIECES:
        return text
    pieces = []
    for number in range(_PIECES):
        start = (len(text) - size) * number // (_PIECES - 1)
        piece = text[start : start + size]
        first, last = piece.find(" ") if number else 0, piece.rfind(" ")
        # Without spaces (Chinese; one endless word) there are no words to cut.
        pieces.append(piece[first:last] if first < last else piece)
    return " ".join(pieces)


def _weigh(sample: str, script: str) -> dict[str, float]:
    odds: dict[str, float] = {}
    for label, probability in _identifier(script).rank(sample):  # most probable first
        if probability < _NEGLIGIBLE:
            break
        code, prior = _label(label)
        odds[code] = odds.get(code, 0.0) + probability * prior
    total = sum(odds.values())
    return {code: value / total for code, value in odds.items()}


@functools.cache
def _label(label: str) -> tuple[str, float]:
    """The code of a label, ``und`` if ISO 639-1 has none, and its prior."""
    code = _CODES.get(label, label)
    if label in _FREQUENT:
        prior = 1.0
    elif len(code) == 2:
        prior = _UNUSUAL if label in _RARE else _USUAL
    else:
        prior = _UNCODED
    return code if len(code) == 2 else UNDETERMINED, prior


@functools.cache
def _identifier(script: str) -> LanguageIdentifier:
    """The classifier, limited to the languages of a script."""
    identifier = copy.copy(_model())  # shares the model's arrays
    identifier.set_languages(_labels(script))
    return identifier


def _labels(script: str) -> frozenset[str]:
    if script == "Latin":
        return frozenset(_model().labels) - _OTHER - (frozenset[str]().union(*_other_scripts().values()) - _BOTH)
    return _other_scripts().get(script, _OTHER)


@functools.cache
def _other_scripts() -> dict[str, frozenset[str]]:
    """The classifier's labels by script, without the Latin ones."""
    found = dict(_LABELS)
    for language in LANGUAGES:
        if language.script != "Latin":
            found[language.script] = found.get(language.script, _OTHER).union(language.labels)
    return found


@functools.cache
def _codes(script: str) -> frozenset[str]:
    """The codes that a hint may name for a text in a script."""
    further = {"az", "pa", *_OWN_LETTERS} if script == "Arabic" else set()
    return frozenset(_label(label)[0] for label in _labels(script)).union(further) - {UNDETERMINED}


@functools.cache
def _model() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@functools.cache
def _foreign(script: str) -> regex.Pattern[str]:
    """Runs of letters in other scripts."""
    own = r"\p{Han}\p{Hiragana}\p{Katakana}" if script == "Han" else rf"\p{{{script}}}"
    return regex.compile(rf"(?V1)[\p{{L}}--[{own}]]++")


def _plain(sample: str) -> str:
    """A sample without addresses, handles and codes; empty if it is chat in Latin letters."""
    words = sample.split()
    if len(_CHAT.findall(sample)) > len(words) * _CHAT_SHARE:
        return ""
    return " ".join(word for word in words if not _ADDRESS.search(word))


def _is_name(text: str, script: str) -> bool:
    """Whether a text is a name or too little to be more."""
    if len(text) > _LONGEST_NAME or script in _DENSE:
        return False
    words = [word for word in _WORD.findall(text) if len(word) > 1]
    if not words:
        return True
    if script in _CASED:
        return len(words) <= _WORDS_OF_A_NAME and all(word[0].isupper() for word in words)
    if script == "Arabic":
        # «الترجي 2 - 1 الوداد» is no name either.
        if len(words) > _ARABIC_WORDS_OF_A_NAME or (any(map(str.isdigit, text)) and _ARABIC_WORDS.search(text)):
            return False
        return not _is_arabic_phrase(words)
    return False


def _is_arabic_phrase(words: list[str]) -> bool:
    """Whether one or two words in Arabic script are more than a name: Arabic words of the news, not a given name."""
    if not _sentence_words().isdisjoint(words):
        return True
    forms = [form(word) for word in words]
    known = word_counts("ar")
    counted = [known.get(one, 0) >= _KNOWN for one in forms]
    return _NOT_ARABIC_SPELLING.search("".join(words)) is None and all(counted) and _given_names().isdisjoint(forms)


@functools.cache
def _given_names() -> frozenset[str]:
    lines = _GIVEN_NAMES.read_text(encoding="utf-8").splitlines()[1:]
    return frozenset(form(line.split("\t")[0]) for line in lines)


@functools.cache
def _sentence_words() -> frozenset[str]:
    """Words that occur in sentences and not in names."""
    return frozenset[str]().union(*(table["sentence_words"].split() for table in files.tables(files.DETECTION)))
