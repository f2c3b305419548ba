"""What stands around a known name: whether it is only part of a longer name, and whether its capital says anything."""

from enrich import languages
from enrich.entities.gazetteer.name_words import is_demonym, is_given_name
from enrich.entities.recognition import capitals
from enrich.languages import Language
from enrich.text.tokens import Passage, Token, is_arabic
from services.events import EntityType

_SPACES = frozenset({" ", "\u00a0"})
# Words of the names of companies, clubs, media, bodies and buildings, besides those of ``capitals.toml``.
_NAME_ENDS = frozenset(
    # Companies and media.
    "airlines airways airport aviation air insurance stock exchange telecom energy motors hotel hotels times post "  # noqa: SIM905
    "herald tribune journal gazette standard press news radio tv today daily weekly review magazine "
    # Clubs and contests.
    "fc cf afc sc city united rovers wanderers athletic open marathon masters derby cup grand prix olympics "
    # Buildings, bodies, documents.
    "tower towers bridge eye hall square street court courts hospital clinic cathedral museum gallery park stadium "
    "arena theatre opera festival biennale "
    "foundation agreement treaty accord accords protocol convention declaration conference forum summit "
    "сити таймс пост экспресс авиа банк".split()
)
_NAME_BEGINNINGS = frozenset(
    "fc ac as cf sc sv vfb vfl tsv fsv rb real atletico atlético inter borussia bayern dynamo dinamo lokomotiv "  # noqa: SIM905
    "olympique racing sporting deportivo air virgin lloyds royal radio greater "
    "эйр радио динамо спартак локомотив фк".split()
)
# What may be before the name of a place, with a capital, without making it part of a longer name.
_KINDS_OF_PLACES = frozenset(
    "republic kingdom state city province republik stadt land kanton republique république ville region région etat état "  # noqa: SIM905
    "canton republica república ciudad provincia estado cidade repubblica citta città regione stato cumhuriyeti "
    "республика город область королевство королівство республіка місто downtown hauptstadt bundesland".split()
)


def is_certain_capital(passage: Passage, at: int, language: str) -> bool:
    """Whether the capital of a word says that it is a name: within a sentence, where other words have none."""
    word = passage.words[at]
    if not word.surface[0].isupper() or languages.get(language).capitals.all_nouns:
        return False
    return not capitals.starts_sentence(passage, at) and not _is_headline(passage, at)


def _is_headline(passage: Passage, at: int) -> bool:
    around = passage.words[max(0, at - 4) : at + 5]
    return sum(word.surface[0].isupper() for word in around) > len(around) * 0.6


def is_part(
    passage: Passage,
    first: int,
    last: int,
    kind: EntityType,
    language: str,
    starts: frozenset[int],
    ends: frozenset[int],
) -> bool:
    """Whether the words ``first`` to ``last`` (excluded) are part of a longer name («Qatar Airways», «Carla Bruni»).

    ``starts`` and ``ends`` are where known names begin and end: two known names next to each other are two.
    """
    words = passage.words
    if is_arabic(words[first].surface) or not words[first].surface[0].isupper():
        return False
    traits = languages.get(language)
    if last < len(words) and last not in starts and _is_joined(passage, last - 1, last):
        if _is_continued(passage, first, last, kind, traits):
            return True
    if first and first not in ends and _is_joined(passage, first - 1, first):
        return _is_begun(passage, first, last, kind, traits)
    return False


def _is_continued(passage: Passage, first: int, last: int, kind: EntityType, traits: Language) -> bool:
    name, word = passage.words[last - 1], passage.words[last]
    if kind == "ORG" and last - first > 1:
        return False
    if word.form in _NAME_ENDS or capitals.is_cue(word.form, "organization", "company"):
        return kind != "ORG"
    if kind != "LOC" or _is_apart(word) or traits.capitals.all_nouns or capitals.is_headline(passage):
        return False
    if last - first == 1 and is_given_name(name.form) and len(word.surface) > 1:  # «Jordan Rochester»
        return True
    if not _is_latin(word) or len(word.surface) == 1 or not passage.text[name.end : word.start].isspace():
        return False
    return not is_given_name(word.form) and not capitals.is_cue(word.form, "given")


def _is_begun(passage: Passage, first: int, last: int, kind: EntityType, traits: Language) -> bool:
    word = passage.words[first - 1]
    if word.form in _NAME_BEGINNINGS:
        return kind != "ORG"
    if kind == "PER" or last - first > 1 or _is_apart(word) or word.form in _KINDS_OF_PLACES:
        return False
    if (is_given_name(word.form) or capitals.is_cue(word.form, "given")) and word.surface[0].isupper():
        return kind == "LOC"
    if kind != "LOC" or traits.capitals.all_nouns or not _is_latin(word) or capitals.is_headline(passage):
        return False
    return not capitals.starts_sentence(passage, first - 1) and len(word.surface) > 1


def _is_joined(passage: Passage, one: int, other: int) -> bool:
    """Whether the word is capitalised, and only a space (or a hyphen) is between it and the name."""
    words = passage.words
    if not (words[one].surface[0].isupper() and words[other].surface[0].isupper()):
        return False
    between = passage.text[words[one].end : words[other].start]
    return between in _SPACES or (between == "-" and words[other].form in _NAME_ENDS)


def _is_apart(word: Token) -> bool:
    """Whether a capitalised word next to a name belongs to no name: a title, a demonym, a day."""
    return is_demonym(word.form) or capitals.is_cue(word.form, "title", "not_a_name", "place", "place_of", "opening")


def _is_latin(word: Token) -> bool:
    return word.surface[0] < "\u0250"
