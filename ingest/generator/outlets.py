"""The publishers of the synthetic stream: two hundred invented outlets, a few of which publish most articles."""

import random
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta, timezone, tzinfo
from itertools import accumulate

# The share of each language; the shares of the chosen languages are scaled to sum to 1.
SHARES = {"ar": 0.60, "en": 0.15, "fr": 0.08, "ru": 0.07, "es": 0.05, "de": 0.05}
_COUNT = 200
_FEWEST = 4
_LAST = ["press", "news", "times", "online", "daily", "wire", "media", "post", "today", "live", "review", "report"]
_FIRST = {
    "ar": "almadar alshuruq alnahda alrafid alsahel almanara alwaha alsafir alfajr almirsad alqantara albayda alwadih "
    "alhadath aljisr alufuq alsada",
    "en": "harbour northgate meridian beacon summit riverside evergreen crossroads lantern compass foundry highland "
    "bridgewater kestrel orchard pioneer tidewater",
    "fr": "horizon rivage boussole lanterne carrefour phare matinal vigie belvedere atelier estuaire colline "
    "passerelle relais sillage tribord verger",
    "ru": "vestnik gorizont mayak rassvet stolitsa perekrestok kompas bereg ekho pulsar kurer zerkalo granit parus "
    "rubezh sever zarya",
    "es": "mirador brujula ribera faro alameda puente sendero campana ventana cumbre orilla plaza vigia molino aurora "
    "encina timon",
    "de": "leuchtturm kompass morgenrot ufer rundblick marktplatz bergblick spiegelsee tagwerk torwache anker linde "
    "wegweiser hafenblick sternwarte landbote fernsicht",
}
_OFFSETS = {"ar": (3, 2, 1, 4), "en": (0, -5), "fr": (1,), "ru": (3,), "es": (1,), "de": (1,)}
_ARABIC_DIGITS = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


@dataclass(slots=True)
class Outlet:
    """An outlet: what its articles have in common. ``digits`` maps ASCII digits to those that it writes; ``shown``: the
    headlines in its «read also» list at present."""

    host: str
    language: str
    zone: tzinfo
    digits: dict[int, int] | None
    rank: int
    shown: list[str] = field(default_factory=list)
    _recent: deque[str] = field(default_factory=lambda: deque(maxlen=3))
    _published: int = 0

    def publish(self, title: str) -> None:
        """Add a headline; the ``shown`` ones change with every tenth article."""
        self._recent.append(title)
        if self._published % 10 == 2:
            self.shown = list(self._recent)
        self._published += 1


class Outlets:
    """The outlets of some languages."""

    def __init__(self, languages: tuple[str, ...]) -> None:
        whole = list(accumulate(SHARES[language] for language in languages))
        self._languages = languages
        self._shares = whole
        self._by_language = {
            language: [_outlet(language, rank) for rank in range(_count(SHARES[language] / whole[-1]))]
            for language in languages
        }
        self._volumes = {
            language: list(accumulate(1 / (rank + 1) for rank in range(len(outlets))))
            for language, outlets in self._by_language.items()
        }

    def language(self, rng: random.Random) -> str:
        """A language, drawn with the probability of its share."""
        return rng.choices(self._languages, cum_weights=self._shares)[0]

    def draw(self, rng: random.Random, language: str, other: str | None = None) -> Outlet:
        """An outlet of a language, drawn by Zipf's law, but not ``other`` (a host)."""
        while True:
            outlet = rng.choices(self._by_language[language], cum_weights=self._volumes[language])[0]
            if outlet.host != other:
                return outlet


def _count(share: float) -> int:
    return max(_FEWEST, int(_COUNT * share + 0.5))


def _outlet(language: str, rank: int) -> Outlet:
    first = _FIRST[language].split()
    offsets = _OFFSETS[language]
    return Outlet(
        host=f"{first[rank % len(first)]}-{_LAST[rank // len(first)]}.example",
        language=language,
        zone=timezone(timedelta(hours=offsets[rank % len(offsets)])),
        digits=_ARABIC_DIGITS if language == "ar" and rank % 4 == 3 else None,
        rank=rank,
    )
