"""One row per language: what the code asks about a language instead of comparing codes.

The word lists of a language are in its folder (``files``). A feature without a file for a language is off for it.
"""

from dataclasses import dataclass

_CASED = frozenset({"Armenian", "Cyrillic", "Greek", "Latin"})


@dataclass(frozen=True, slots=True)
class Syntax:
    """How sentences of a language report speech; read by ``quotes``. The defaults are those of French."""

    # The subject follows its verb and may be left out, and both may be joined to «and» («وقال الرئيس»).
    verb_first: bool = False
    # «…, the minister said»: after a reported clause the subject may precede the verb.
    subject_before_verb: bool = False
    # «that» belongs to the verb before it, however far away.
    distant_complementizer: bool = False
    # Each word of a title has a capital: «"The Sound of Music"» is no speech.
    title_case: bool = False
    # What written directly after a name makes it no subject («Egypt's»).
    genitive_suffixes: tuple[str, ...] = ()
    # Endings by which a person's name is no subject («Макрона»).
    case_endings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Capitals:
    """How a language uses capitals and titles; read by ``entities.recognition.capitals``."""

    # Every noun has a capital.
    all_nouns: bool = False
    # «University of X» and «X University», never «University X».
    organization_word_last: bool = False
    # What follows a title may be what the person presides over («президент Франции Макрон»).
    genitive_after_title: bool = False


@dataclass(frozen=True, slots=True)
class Language:
    """A language: ``code`` (ISO 639-1), its English ``name``, and the Unicode name of its ``script``.

    ``stemmer`` is the name of its Snowball stemmer. ``varieties`` are further labels of the language classifier that
    mean this language. The letters of ``conjunctions`` and ``prepositions`` are written onto the next word, and so is
    ``article``; ``contracted_article`` is a preposition with it. ``endings`` are removed where there is no stemmer.
    """

    code: str
    name: str
    script: str
    stemmer: str | None = None
    varieties: tuple[str, ...] = ()
    conjunctions: str = ""
    prepositions: str = ""
    article: str = ""
    contracted_article: str = ""
    endings: tuple[str, ...] = ()
    syntax: Syntax = Syntax()
    capitals: Capitals = Capitals()

    @property
    def has_case(self) -> bool:
        """Whether the script has capital letters."""
        return self.script in _CASED

    @property
    def right_to_left(self) -> bool:
        """Whether the script is written from right to left."""
        return self.script in {"Arabic", "Hebrew"}

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the language classifier that mean this language."""
        return (self.code, *self.varieties)


# The order decides between names of the gazetteer that are equal in everything else.
LANGUAGES = (
    Language(
        "ar",
        "Arabic",
        "Arabic",
        stemmer="arabic",
        varieties=("ary", "arz"),
        conjunctions="وف",
        prepositions="بلك",
        article="ال",
        contracted_article="لل",
        syntax=Syntax(verb_first=True),
    ),
    Language(
        "en",
        "English",
        "Latin",
        stemmer="english",
        syntax=Syntax(subject_before_verb=True, title_case=True, genitive_suffixes=("'s", "’s")),
        capitals=Capitals(organization_word_last=True),
    ),
    Language("fr", "French", "Latin", stemmer="french"),
    Language(
        "ru",
        "Russian",
        "Cyrillic",
        stemmer="russian",
        syntax=Syntax(
            distant_complementizer=True,
            case_endings=("а", "я", "у", "ю", "е", "ом", "ем", "ём", "ым", "им", "ого", "его", "ому", "ему", "ой"),
        ),
        capitals=Capitals(genitive_after_title=True),
    ),
    Language("es", "Spanish", "Latin", stemmer="spanish"),
    Language("de", "German", "Latin", stemmer="german", capitals=Capitals(all_nouns=True)),
    Language("tr", "Turkish", "Latin", stemmer="turkish", capitals=Capitals(genitive_after_title=True)),
    Language("fa", "Persian", "Arabic", endings=("هايي", "هاي", "ها", "ان", "ي")),
    Language("pt", "Portuguese", "Latin", stemmer="portuguese"),
    Language("uk", "Ukrainian", "Cyrillic", capitals=Capitals(genitive_after_title=True)),
    Language("it", "Italian", "Latin", stemmer="italian"),
)

_BY_CODE = {language.code: language for language in LANGUAGES}
_UNKNOWN = Language("und", "undetermined", "")


def get(code: str) -> Language:
    """The language of a code. One that is not registered has no traits: no stemmer, no attached letters."""
    return _BY_CODE.get(code, _UNKNOWN)
