"""What stands around a known name: whether it is only part of a longer name, and whether its capital says anything."""

from typing import NamedTuple

from enrich import languages
from enrich.entities.gazetteer.name_words import is_demonym, is_given_name, is_ordinary, ordinary_words
from enrich.entities.recognition import capitals
from enrich.languages import Language
from enrich.text.tokens import Passage, Token, is_arabic
from services.events import EntityType

_SPACES = frozenset({" ", "\u00a0"})
_LINKING = frozenset({" ", "'", "’"})
_SIGNS = frozenset(".@")
_LETTERS_OF_A_MODEL = 3
# Where more of the words around a name have capitals, its capital says nothing.
_SHARE_OF_CAPITALS = 0.6
# Prepositions of place.
_IN = frozenset({"в", "во", "на", "из", "у", "із", "з"})
# Beginnings of adjectives with which a place is another («Северная Ирландия»).
_DIRECTIONS = (
    *("северн", "южн", "западн", "восточн", "центральн", "юго", "северо"),
    *("північн", "південн", "західн", "східн", "южен", "източ", "западен", "северен"),
)
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
    "republic kingdom state city province republik stadt land kanton republique ville region etat canton "  # noqa: SIM905
    " republica ciudad provincia estado cidade repubblica citta città regione stato cumhuriyeti "
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
    return sum(word.surface[0].isupper() for word in around) > len(around) * _SHARE_OF_CAPITALS


class Neighbours(NamedTuple):
    """The types of the known names of a passage, by the words at which they begin, and after which they end.

    ``headline``: most words of the passage have a capital, so that capitals mark no names.
    """

    starts: dict[int, EntityType]
    ends: dict[int, EntityType]
    headline: bool


def is_part(  # noqa: PLR0911, PLR0913 - one return for each kind of neighbour
    passage: Passage, first: int, last: int, kind: EntityType, language: str, *, known: Neighbours
) -> bool:
    """Whether the words ``first`` to ``last`` (excluded) are part of a longer name («Qatar Airways», «Carla Bruni»)."""
    words, text = passage.words, passage.text
    start, end = words[first].start, words[last - 1].end
    if is_arabic(words[first].surface) or not words[first].surface[0].isupper():
        return False
    if _is_in_address(text, start, end):
        return True
    traits = languages.get(language)
    if last < len(words) and words[last].start - end <= 1:
        between = text[end : words[last].start]
        if (
            between in _SPACES
            and last not in known.starts
            and _is_continued(passage, first, last, kind, traits, known.headline)
        ):
            return True
        if between in _SPACES and last not in known.starts and _are_acronyms(passage, first, last):
            return True
        if between == "-" and kind == "LOC" and _is_capital(words[last]) and known.starts.get(last) != "LOC":
            return True
    if not first or not _is_capital(words[first - 1]):
        return kind == "LOC" and _is_of_organization(passage, first)
    between = text[words[first - 1].end : start]
    if between == "-":
        return kind == "LOC" and known.ends.get(first) != "LOC"
    if between not in _SPACES:
        return False
    if first not in known.ends and _are_acronyms(passage, first - 1, first):
        return True
    if first in known.ends:
        return kind == "LOC" and known.ends[first] == "ORG" and _is_latin(words[first])
    return _is_begun(passage, first, last, kind, traits, known.headline)


def is_perhaps_a_person(passage: Passage, first: int, last: int, kind: EntityType, known: Neighbours) -> bool:
    """Whether the name of a place in Cyrillic may be a given name: «назначение Доминика Рааба».

    A capitalised word follows, and neither a preposition of place nor a title («президент Франции») precedes.
    """
    words = passage.words
    if kind != "LOC" or last - first > 1 or last >= len(words) or last in known.starts or _is_latin(words[first]):
        return False
    if not _is_capital(words[last]) or passage.text[words[first].end : words[last].start] not in _SPACES:
        return False
    if _is_latin(words[last]) or words[last].surface.isupper() or capitals.is_cue(words[last].form, "given"):
        return False
    before = words[max(0, first - 3) : first]
    return not (
        (before and before[-1].surface.lower() in _IN) or any(capitals.is_cue(word.form, "title") for word in before)
    )


def _is_in_address(text: str, start: int, end: int) -> bool:
    """Whether a name is part of an address or account («Leave.EU», «DW.com», «@BBC»)."""
    if text[start - 1 : start] in _SIGNS and (text[start - 1] == "@" or text[max(0, start - 2) : start - 1].isalnum()):
        return True
    return text[end : end + 1] == "." and text[end + 1 : end + 2].islower()


def _is_of_organization(passage: Passage, first: int) -> bool:
    """Whether «Bank of» precedes."""
    words = passage.words
    return (
        first > 1
        and capitals.is_cue(words[first - 1].form, "link")
        and _is_capital(words[first - 2])
        and capitals.is_cue(words[first - 2].form, "organization")
        and passage.text[words[first - 2].end : words[first - 1].start] == " "
        and passage.text[words[first - 1].end : words[first].start] in _LINKING
    )


def _are_acronyms(passage: Passage, one: int, other: int) -> bool:
    """Whether two words next to each other are acronyms («PKO BP»), or capitals of a line in capitals."""
    both = passage.words[one], passage.words[other]
    return all(len(word.surface) > 1 and word.surface.isupper() and word.surface.isalpha() for word in both)


def _is_continued(passage: Passage, first: int, last: int, kind: EntityType, traits: Language, headline: bool) -> bool:  # noqa: PLR0911, PLR0913, PLR0917
    name, word = passage.words[last - 1], passage.words[last]
    if kind == "ORG":
        return last - first == 1 and _is_model(passage, last)
    if not _is_capital(word):
        return False
    if word.form in _NAME_ENDS or capitals.is_cue(word.form, "organization", "company"):
        return True
    if kind == "LOC" and capitals.is_cue(word.form, "place"):  # «Vancouver Island»
        return True
    if _is_apart(word) or traits.capitals.all_nouns or headline:
        return False
    if last - first > 1 and kind == "PER":
        return False
    if last - first == 1 and is_given_name(name.form) and len(word.surface) > 1:  # «Jordan Rochester»
        return kind == "LOC"
    if not _is_latin(word) or len(word.surface) == 1 or (kind == "PER" and is_ordinary(word.surface, traits.code)):
        return False
    return not is_given_name(word.form) and not capitals.is_cue(word.form, "given")


def _is_model(passage: Passage, at: int) -> bool:
    """Whether a product's number follows the name of its maker («Airbus A380», «Boeing 737 Max»), and no amount."""
    number, text = passage.words[at].surface, passage.text
    if not any(map(str.isdigit, number)):
        return False
    if not number.isdecimal():
        return True
    after = text[passage.words[at].end : passage.words[at].end + 2]
    return len(number) == _LETTERS_OF_A_MODEL and not after.lstrip().islower() and after[:1] not in {"%", "\u00a0"}


def _is_begun(passage: Passage, first: int, last: int, kind: EntityType, traits: Language, headline: bool) -> bool:  # noqa: PLR0911, PLR0913, PLR0917
    word = passage.words[first - 1]
    if kind == "ORG":
        return False
    if kind == "LOC" and (word.form in _NAME_BEGINNINGS or word.form.startswith(_DIRECTIONS)):
        return True
    if kind == "LOC" and last - first == 1 and capitals.is_cue(passage.words[first].form, "place"):  # «Ellis Island»
        return True
    if last - first > 1 or _is_apart(word) or word.form in _KINDS_OF_PLACES or len(word.surface) == 1:
        return False
    if kind == "LOC" and (is_given_name(word.form) or capitals.is_cue(word.form, "given")):
        return True
    if traits.capitals.all_nouns or headline:
        return False
    if not _is_latin(word) or (kind == "PER" and traits.capitals.genitive_after_title):
        return False
    listed = bool(ordinary_words(traits.code))
    if listed and is_ordinary(word.surface, traits.code):
        return kind == "LOC" and not capitals.starts_sentence(passage, first - 1)
    return listed or (kind == "LOC" and not capitals.starts_sentence(passage, first - 1))


def _is_capital(word: Token) -> bool:
    return word.surface[0].isupper()


def _is_apart(word: Token) -> bool:
    """Whether a capitalised word next to a name belongs to no name: a title, a demonym, a day."""
    return is_demonym(word.form) or capitals.is_cue(word.form, "title", "not_a_name", "place", "place_of", "opening")


def _is_latin(word: Token) -> bool:
    return word.surface[0] < "\u0250"
