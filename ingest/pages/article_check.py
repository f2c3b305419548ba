"""Whether a page is the article of a feed's entry: it has the words of the entry's summary, and more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import regex

from ingest.pages.addresses import leads_to_front
from services import normalization
from services.documents.html_text import Page

Cause = Literal["consent", "paywall", "login", "not_found", "front_page", "other_page", "no_longer", "empty"]

# Of the words of the summary, and of the title if there is no summary, the least share that the article has.
_LEAST_OF_SUMMARY: Final = 0.6
_LEAST_OF_TITLE: Final = 0.4
# The same for a page that has the summary in its head only: of its title, and of all words in its text.
_SAME_TITLE: Final = 0.8
_LEAST_ABOUT: Final = 0.2
_DESCRIBED_WORDS: Final = 60
# Characters that are compared of titles and of descriptions.
_HEAD: Final = 500
_DESCRIPTION: Final = 3_000
# A summary with fewer words says too little.
_FEWEST_WORDS: Final = 6
# An article has at least this many words more than its summary, and this many times as many.
_MORE_WORDS: Final = 20
_TIMES_WORDS: Final = 1.3
# A page that is not free and has fewer words than this is only the beginning of the article.
_PREVIEW_WORDS: Final = 150
_LONGEST_NOTICE: Final = 40

_WORD: Final = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]|[\p{L}\p{M}\p{N}_]+"
)
# What feeds put at the end of a summary that goes on on the page.
_LONGEST_MORE: Final = 100
_MORE: Final = regex.compile(r"(?:\s*+(?:\[?(?:\.{3}|…)\]?|&hellip;))++\s*+[^.!?؟\n]{0,60}+$")
_NOT_FREE: Final = regex.compile(r'"isAccessibleForFree"\s{0,9}:\s{0,9}"?(?:false|no)\b', regex.IGNORECASE)
_PAYWALL: Final = regex.compile(
    r"\b(?:class|id)\s?=\s?[\"']?[^\"'<>]{0,300}(?<![a-z])(?:paywall|regwall|meter-?wall|subscribers?-only)",
    regex.IGNORECASE,
)
_PASSWORD: Final = regex.compile(r"<input\b[^<>]{0,500}\btype\s{0,3}=\s{0,3}[\"']?password", regex.IGNORECASE)
# Short paragraphs in place of the rest of an article.
_STOPS_HERE: Final = regex.compile(
    r"(?:subscribe|sign (?:in|up)|log in|register|become a (?:member|subscriber)).{0,40}"
    r"\bto (?:(?:continue|keep|finish) reading|unlock|read (?:more|the (?:full|rest|whole|complete)))"
    r"|(?:subscribe|sign (?:in|up)|log in|register) for full access"
    r"|to (?:continue|keep) reading,? .{0,40}(?:subscribe|sign|log in|register)"
    r"|(?:this|the) (?:article|content|story) is (?:only|for|reserved|exclusive)\b.{0,40}(?:subscribers|members)"
    r"|(?:already a|exclusively for|only for) (?:subscriber|member)s?\b"
    r"|(?:article|contenu) (?:est )?réservé aux abonnés|pour lire la suite|il vous reste .{0,30} à (?:lire|découvrir)"
    r"|(?:weiterlesen|lesen sie weiter) mit|(?:bereits|schon) abonnent|nur für abonnenten"
    r"|(?:contenido|artículo) (?:exclusivo )?para suscriptores|suscríbete para (?:seguir|continuar)"
    r"|(?:статья|материал) доступ\w+ (?:только )?(?:по подписке|подписчикам)|чтобы (?:читать|прочитать) дальше"
    r"|(?:devamını|tamamını) okumak için (?:abone|üye|giriş)"
    r"|(?:اشترك|سجل|تسجيل الدخول|الاشتراك).{0,40}(?:لمتابعه|لمواصله|لاكمال|لقراءه) (?:ال)?(?:قراءه|مقال|بقيه|باقي|خبر)"
    r"|(?:لمتابعه|لمواصله|لاكمال|لقراءه|للاطلاع علي) (?:بقيه |باقي |كامل )?(?:ال)?"
    r"(?:قراءه|مقال|خبر|نص|تقرير|محتوي|ماده).{0,40}(?:اشترك|سجل|الاشتراك|تسجيل)"
    r"|(?:هذا )?(?:المحتوي|المقال|الماده) (?:حصري\w* )?(?:متاح\w* )?(?:فقط )?(?:ل|لل)(?:ال)?مشتركين",
    regex.IGNORECASE,
)
_CONSENT: Final = regex.compile(
    r"\b(?:cookies?|consent|gdpr|privacy (?:policy|choices|settings))\b|ملفات تعريف الارتباط|سياسه الخصوصيه|الكوكيز",
    regex.IGNORECASE,
)
_LOGIN: Final = regex.compile(
    r"\b(?:log ?in|sign ?in|forgot(?:ten)? password)\b|تسجيل الدخول|كلمه المرور", regex.IGNORECASE
)
_NOT_FOUND: Final = regex.compile(
    r"\b(?:404|not found|page (?:is )?(?:missing|unavailable)|no longer (?:available|exists?)|doesn.t exist)\b"
    r"|(?:الصفحه|المقال|المحتوي)\s.{0,20}(?:غير موجود|غير متاح|غير متوفر|لم (?:يتم|نتمكن)|لا يمكن)"
    r"|غير موجوده?|page (?:introuvable|non trouvée)|nicht gefunden|no encontrad|не найден|bulunamadı",
    regex.IGNORECASE,
)


def why_not(  # noqa: PLR0913
    page: Page, markup: str, *, title: str, summary: str, wanted: str, found: str
) -> Cause | None:
    """Why a page is not the article of an entry, or None if it is.

    ``markup``: of the page. ``title``, ``summary``: of the entry, as text; each may be empty. ``wanted``: the address
    that the entry has; ``found``: where the page came from after redirects.
    """
    if leads_to_front(wanted, found):
        return "front_page"
    text = normal(page.text)
    words = _words(text)
    if not words:
        return _hint(page, markup, text, found) or "empty"
    entry = _Entry.of(title, summary)
    if not _is_about(page, text, words, entry):
        return _hint(page, markup, text, found) or "other_page"
    notices = [line for line in text.split("\n") if _is_notice(line)]
    rest = len(words) - sum(len(_words(notice)) for notice in notices)
    is_preview = rest < max(_PREVIEW_WORDS, 3 * len(entry.summary))
    if notices or (is_preview and (_NOT_FREE.search(markup) or _PAYWALL.search(markup))):
        return "paywall"
    if rest < max(_TIMES_WORDS * len(entry.summary), len(entry.summary) + _MORE_WORDS):
        return "no_longer"
    return None


@dataclass(frozen=True)
class _Entry:
    """The words of an entry. ``headline``: its title as in a text for comparison."""

    headline: str
    title: list[str]
    summary: list[str]

    @classmethod
    def of(cls, title: str, summary: str) -> "_Entry":
        words = _words(normal(title))
        return cls(" ".join(words), words, _words(normal(without_more(summary))))


def _is_about(page: Page, text: str, words: list[str], entry: _Entry) -> bool:
    """Whether a page is about the same as an entry; ``words``: of its ``text``."""
    head = normal(f"{(page.heading or '')[:_HEAD]} {(page.title or '')[:_HEAD]}")
    titled = _share(entry.title, set(_words(head)))
    if titled < _LEAST_OF_TITLE:
        # An error page, or a list of articles, that has the title and the summary of this one, too.
        if _NOT_FOUND.search(head) or not page.heading or _holds_phrase(words, entry.headline):
            return False
        words = words[: 2 * len(entry.summary) + 100]
    if len(entry.summary) < _FEWEST_WORDS:
        return titled >= _LEAST_OF_TITLE and _share([*entry.title, *entry.summary], set(words)) >= _LEAST_OF_TITLE
    if _share(entry.summary, set(words)) >= _LEAST_OF_SUMMARY:
        return True
    # Many pages have the summary in their head only. Then the headline must be the same, and the text about it.
    described = set(_words(normal((page.description or "")[:_DESCRIPTION])))
    return (
        titled >= _SAME_TITLE
        and _share(entry.summary, described) >= _LEAST_OF_SUMMARY
        and _share([*entry.title, *entry.summary], set(words)) >= _LEAST_ABOUT
        and len(words) >= max(2 * len(entry.summary), _DESCRIBED_WORDS)
        and not _CONSENT.search(text[:2_000])
    )


def _holds_phrase(words: list[str], phrase: str) -> bool:
    return bool(phrase) and f" {phrase} " in f" {' '.join(words)} "


def holds(text: str, summary: str) -> bool:
    """Whether a text has the summary in it, but for its last words and its punctuation."""
    known, parts = _words(normal(text)), _words(normal(without_more(summary)))
    if _holds_phrase(known, " ".join(parts)):
        return True
    threes = list(zip(parts, parts[1:], parts[2:], strict=False))
    found = set(zip(known, known[1:], known[2:], strict=False))
    return bool(threes) and sum(three in found for three in threes) >= 0.8 * len(threes)


def without_more(summary: str) -> str:
    """A summary without "… read more" at its end, and without the word that was cut there."""
    summary = summary.rstrip()
    return summary[:-_LONGEST_MORE] + _MORE.sub("", summary[-_LONGEST_MORE:])


def normal(text: str) -> str:
    """A text for comparison: one case, one spelling."""
    return normalization.arabic(normalization.compose(text).casefold())


def _is_notice(paragraph: str) -> bool:
    return _STOPS_HERE.search(paragraph[:1_000]) is not None and len(_words(paragraph)) <= _LONGEST_NOTICE


def _hint(page: Page, markup: str, text: str, found: str) -> Cause | None:
    """What a page is that is not the article, by its words; for the metric."""
    said = f"{normal((page.heading or '')[:_HEAD])} {normal((page.title or '')[:_HEAD])} {text[:2_000]}"
    if _NOT_FOUND.search(said):
        return "not_found"
    if "consent" in found[:200] or _CONSENT.search(said):
        return "consent"
    if _PASSWORD.search(markup) or _LOGIN.search(said):
        return "login"
    return "paywall" if _STOPS_HERE.search(said) else None


def _words(text: str) -> list[str]:
    """The words of a text; of a script without spaces between words, its letters."""
    return [str(word) for word in _WORD.findall(text)]


def _share(words: Sequence[str], among: set[str]) -> float:
    """The share of the longer words (short ones are in every text) that are among others."""
    sought = {word for word in words if len(word) > 3} or set(words)
    return sum(word in among for word in sought) / len(sought) if sought else 0.0
