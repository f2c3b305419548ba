"""The parts of an article that do not belong to its news: blurbs, "read also", bylines, captions, site furniture.

Boilerplate stands in lines of its own. Some of it is known beforehand, in the languages of the news; the rest is
learnt: a line that one source repeats in articles which have nothing else in common.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from services.events import Span

# A line counts as learnt when this many unrelated articles of its source have had it.
_ENOUGH = 3
_LONGEST_LEARNT = 1_000
_MOST_LINES = 60
# An article is recognised again by the beginnings and ends of its longest lines.
_SKETCHED_LINES = 6
_EDGE = 32

_LONGEST_FURNITURE = 400
_LONGEST_SHORT = 160
_LONGEST_LINK = 120
_MOST_LINKS = 10
_CAPTION_WORDS = 20
_BEGINNING = 60

_BULLETS = " \t•·*-–—|>»"
# One letter for its variants, and no marks; chained replacements are several times faster than a translation table.
_SPELLING = tuple(zip("أإآٱىة", "ااااي" + "ه", strict=True))
_MARKS = tuple(map(chr, (0x640, *range(0x64B, 0x653), 0x670)))


def _fold(line: str) -> str:
    """A line or phrase in the spelling that phrases are compared in."""
    if not line.isascii():
        for variant, letter in _SPELLING:
            line = line.replace(variant, letter)
        for mark in _MARKS:
            line = line.replace(mark, "")
    return line.lower()


def _phrases(table: str) -> tuple[str, ...]:
    """The phrases of a table, which stands as one a line or parted by semicolons."""
    return tuple(_fold(phrase.strip()) for phrase in re.split(r"[;\n]", table) if phrase.strip())


# "Read also": alone above links, or before one on the same line.
_LINKS = _phrases("""
اقرأ أيضا; إقرأ أيضا; اقرؤوا أيضا; اقرأي أيضا; شاهد أيضا; شاهدوا أيضا; تابع أيضا; طالع أيضا; للمزيد اقرأ
Read also; Also read; See also; À lire aussi; A lire aussi; Lire aussi; Voir aussi; Lire également
Читайте также; Читать также; Смотрите также; Lea también; Lee también; Leer también; Vea también; Lesen Sie auch
Leia também; Leggi anche; Ayrıca okuyun; بیشتر بخوانید; همچنین بخوانید
""")
# Headings above links that are ordinary beginnings of sentences too: alone, or before a colon.
_LINK_HEADINGS = _phrases("""
اخترنا لك; اخترنا لكم; قد يعجبك أيضا; قد يهمك; قد يهمك أيضا; مواضيع ذات صلة; موضوعات ذات صلة; أخبار ذات صلة
مقالات ذات صلة; مواضيع متعلقة; أخبار متعلقة; موضوعات متعلقة; اقرأ المزيد; المزيد من الأخبار; الأكثر قراءة
الأخبار المتعلقة
Read more; Read next; Related; Related articles; Related stories; Related news; Related content
More from this section; More on this story; More stories; You may also like; Recommended; Recommended for you
Most read; Trending; Editor's picks; Editors' picks; Sur le même sujet; Pour aller plus loin; Vous aimerez aussi
Les plus lus; По теме; Материалы по теме; Ещё по теме; Еще по теме; Самое читаемое; Другие новости
Te puede interesar; Noticias relacionadas; Más noticias; Lo más leído; Temas relacionados
Mehr zum Thema; Auch interessant; Das könnte Sie auch interessieren; Meistgelesen; İlgili haberler
""")
_FURNITURE = frozenset(
    _phrases("""
icon; A; +A; -A; A+; A-; AA; حجم الخط; تكبير الخط; تصغير الخط; التغطية الحية; تغطية مباشرة; مشاركة; شارك; شاركها
شارك على; شارك عبر; طباعة; نسخ الرابط; انسخ الرابط; إعلان; حفظ; التعليقات; أضف تعليقا; أضف تعليق; تابعنا; تابعونا
تابعنا على; تابعونا على; استمع; فيسبوك; تويتر; واتساب; تلغرام; الكلمات المفتاحية; العلامات
share; share this; share this article; share this story; print; email; e-mail; tweet; copy link; font size; text size
advertisement; sponsored; comment; comments; follow us; save; facebook; twitter; whatsapp; telegram; linkedin
pinterest; tags; listen; live; live updates; partager; imprimer; publicité; commenter; écouter; taille du texte
поделиться; реклама; печать; комментарии; размер шрифта; compartir; publicidad; comentarios; tamaño de letra
teilen; drucken; anzeige; kommentare; schriftgröße
""")
)
_HEADINGS = frozenset(_LINKS + _LINK_HEADINGS)
_BEGINNINGS = _phrases("""
©; (c) 20; copyright; جميع الحقوق محفوظة; كل الحقوق محفوظة; كافة الحقوق محفوظة; حقوق النشر; حقوق الطبع; حقوق الملكية
All rights reserved; Tous droits réservés; Все права защищены; Todos los derechos reservados
Alle Rechte vorbehalten; Tüm hakları saklıdır
Subscribe to our; Subscribe now; Sign up for our; Sign up to our; Follow us on; Join our channel; Join our newsletter
Join our telegram; Join our whatsapp; Download our app; Get our newsletter; Get our app; Click here to subscribe
تابعونا على; تابعونا عبر; تابعنا على; تابعنا عبر; للاشتراك في النشرة; للاشتراك في القناة; للاشتراك في خدمة
اشترك في النشرة; اشترك في نشرتنا; اشترك في القناة; اشترك في قناتنا; اشتركوا في نشرتنا; اشتركوا في قناتنا; اشترك الآن
انضم إلى قناتنا; انضموا إلى قناتنا; حمل تطبيقنا; حملوا تطبيقنا
Abonnez-vous; Inscrivez-vous à notre; Inscrivez-vous à la newsletter; Restez informés; Suivez-nous; Téléchargez notre
Подписывайтесь; Подпишитесь; Следите за нами; Suscríbete; Suscríbase; Síguenos; Únete a nuestr; Descarga nuestra
Abonnieren Sie; Folgen Sie uns; Jetzt abonnieren
""")
_AGENCIES = frozenset(
    _phrases("""
وكالات; الوكالات; رويترز; فرانس برس; أ ف ب; أ.ف.ب; أ ب; أ.ب; د ب أ; د.ب.أ; الأناضول; سبوتنيك; سانا; واس; بترا
خاص; متابعات; أرشيف; الأرشيف; أرشيفية; غيتي; Reuters; AFP; AP; dpa; EFE; ANSA; Getty; Getty Images
Agencies; Agences; Agencias; Agenturen; Europa Press; Archive; Archives; Archivo; Archiv; File
ТАСС; РИА Новости; Интерфакс; Агентства; Архив
""")
)
_AGENCY_ENDINGS = tuple(sorted(_AGENCIES))
_WRITERS = _phrases("""
كتب; كتبت; كتبه; تقرير; إعداد; تحرير; بقلم; ترجمة; مراسل; مراسلنا; المحرر; المحررة; الكاتب; الكاتبة
author; reporting; auteur; autor; autora; redacción; автор; авторы; текст
photo; image; credit; foto; bild; фото; صورة; الصورة; تصوير; المصدر; source; quelle; fuente; источник
""")
_STAMPED = _phrases("""
نشر في; نشرت في; تاريخ النشر; آخر تحديث; published; updated; last updated; publié le; mis à jour; опубликовано
обновлено; publicado; actualizado; veröffentlicht; aktualisiert
""")
_PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".svg", ".bmp", ".mp4")

_SENTENCE_END = re.compile(r"[.!؟?…:۔][\"'»”)\]]*$")
_NAME = r"[^\W\d_][\w.'’\-]*"
_CAPITALISED = r"[A-ZÀ-ÖØ-ÞА-ЯЁ][\w.'’\-]*"
_WRITER = re.compile(rf"({_NAME}) ?[:/\-–] ?{_NAME}(?:[ ,/]+{_NAME}){{0,7}}")
_BY = re.compile(
    rf"(?:By|BY|Par|Por|Von) {_CAPITALISED}(?:,? (?:and|et|y|und|de|van|von|al|bin|{_CAPITALISED})){{1,7}}"
)
_PLACE_AND_AGENCY = re.compile(rf"{_NAME}(?: {_NAME}){{0,3}} ?[\-–—/:،,(] ?([^\-–—/:،,()]{{2,15}})\)?")
_CREDIT = re.compile(r"[(\[](?:[^()\[\]]{0,30}[/\-–] ?)?([^()\[\]/\-–]{2,15})[)\]]$")
_STAMP = re.compile(
    r"(?:\d{4}[./\-]\d\d?[./\-]\d\d?|\d\d?[./\-]\d\d?[./\-]\d{4})(?![\w])"
    r"(?:[^\w\n]{0,5}\d\d?:\d\d(?::\d\d)?)?(?:[^\w\n]{0,3}[^\W\d_]{1,20}){0,3}"
)


class _Line(NamedTuple):
    start: int
    end: int
    text: str


Sketch = frozenset[int]


@dataclass(slots=True)
class _Memory:
    """What is remembered of a source: lines with the articles they were in, and those known to be boilerplate."""

    candidates: OrderedDict[int, tuple[Sketch, ...]] = field(default_factory=OrderedDict)
    known: OrderedDict[int, None] = field(default_factory=OrderedDict)


class Boilerplate:
    """Finds boilerplate and learns that of each source as its articles come by.

    Bounded: the ``lines`` last seen of the ``sources`` last seen are remembered, 0.3 to 0.6 KB a line: 20 MB with
    the defaults, 45 MB at worst. No clock and no chance: the same articles in the same order give the same answers.
    """

    def __init__(self, sources: int = 128, lines: int = 512) -> None:
        self._sources = sources
        self._lines = lines
        self._memories: OrderedDict[str, _Memory] = OrderedDict()

    def find(self, source: str | None, text: str) -> list[Span]:
        """The boilerplate of an article, which is learnt from: ascending spans, neighbouring lines in one.

        Without a source only what is known beforehand is found. If no line with a word would be left, none is marked.
        """
        lines = _split(text)
        marked = set(_known_beforehand(lines))
        if source is not None:
            marked |= self._learn(source, lines)
        if all(number in marked or not _has_word(line.text) for number, line in enumerate(lines)):
            return []
        return _spans(lines, marked)

    def learn(self, source: str, text: str) -> None:
        """Learn from an older article, as ``find`` does."""
        self._learn(source, _split(text))

    def _learn(self, source: str, lines: list[_Line]) -> set[int]:
        """Take the lines of an article in; the numbers of those that are known to be boilerplate by now."""
        memory = self._memories.setdefault(source, _Memory())
        self._memories.move_to_end(source)
        while len(self._memories) > self._sources:
            self._memories.popitem(last=False)
        found = set()
        sketch = _sketch(line.text for line in lines)
        for number in _outer(len(lines)):
            line = lines[number].text
            if len(line) <= _LONGEST_LEARNT and self._is_repeated(memory, line, sketch):
                found.add(number)
        return found

    def _is_repeated(self, memory: _Memory, line: str, sketch: Sketch) -> bool:
        key = hash(line)
        if key in memory.known:
            memory.known.move_to_end(key)
            return True
        articles = memory.candidates.pop(key, ())
        own = _edges(line) if articles else sketch
        if not any(_related(sketch, article, own) for article in articles):
            articles = (*articles, sketch)
        if len(articles) >= _ENOUGH:
            memory.known[key] = None
            if len(memory.known) > self._lines:
                memory.known.popitem(last=False)
            return True
        memory.candidates[key] = articles
        if len(memory.candidates) > self._lines:
            memory.candidates.popitem(last=False)
        return False


def _split(text: str) -> list[_Line]:
    """The lines of a text that are not blank, without the space around them."""
    lines, at = [], 0
    for whole in text.split("\n"):
        bare = whole.strip()
        if bare:
            start = at + whole.index(bare)
            lines.append(_Line(start, start + len(bare), bare))
        at += len(whole) + 1
    return lines


def _outer(count: int) -> Iterable[int]:
    """The numbers of the lines that are learnt from: of very long articles only the first and the last."""
    if count <= _MOST_LINES:
        return range(count)
    return (*range(_MOST_LINES // 2), *range(count - _MOST_LINES // 2, count))


def _edges(line: str) -> Sketch:
    """Beginning and end of a line: when it is edited, one of the two mostly stays."""
    # The keyed 64-bit hash of str differs between processes, but nothing leaves this one.
    return frozenset((hash(line[:_EDGE]), ~hash(line[-_EDGE:])))


def _sketch(lines: Iterable[str]) -> Sketch:
    longest = sorted(set(lines), key=lambda line: (-len(line), line))[:_SKETCHED_LINES]
    return frozenset().union(*map(_edges, longest))


def _related(one: Sketch, other: Sketch, own: Sketch) -> bool:
    """Whether two articles that share a line are one article (a repost, a correction): they share most of the rest."""
    one, other = one - own, other - own
    rest = min(len(one), len(other))
    shared = len(one & other)
    # Of an article that is this line and another, one edge of that other is enough.
    return rest == 0 or shared * 2 > rest or (rest <= 2 and shared > 0)


def _has_word(line: str) -> bool:
    return any(map(str.isalpha, line))


def _known_beforehand(lines: list[_Line]) -> Iterator[int]:
    """The numbers of the lines that say themselves what they are, some twice."""
    seen: set[str] = set()
    for number, line in enumerate(lines):
        length = len(line.text)
        if length > _LONGEST_FURNITURE:
            continue
        bare = line.text.strip(_BULLETS)
        if length > _LONGEST_SHORT:
            if _fold(bare[:_BEGINNING]).startswith(_BEGINNINGS):
                yield number
            continue
        folded = _fold(bare)
        if folded.rstrip(" :.…»>|") in _HEADINGS:
            yield number
            yield from _links(lines, number + 1)
        elif (
            folded.startswith(_BEGINNINGS)
            or _is_link(folded)
            or _is_furniture(line.text, folded)
            or _is_byline(line.text, folded)
            or (line.text[-1] in ")]" and (number + 1) * 2 <= len(lines) and _is_caption(folded))
            # A picture's text repeats the headline above it.
            or (bare in seen and bare != line.text)
        ):
            yield number
        seen.add(bare)


def _is_link(folded: str) -> bool:
    if folded.startswith(_LINKS):
        return True
    return folded.startswith(_LINK_HEADINGS) and folded.partition(":")[0].rstrip() in _HEADINGS


def _is_furniture(line: str, folded: str) -> bool:
    """Buttons, names of pictures, agencies alone, stamps of time."""
    if folded.rstrip(" :") in _FURNITURE or folded.strip("()[] ") in _AGENCIES:
        return True
    if folded.endswith(_PICTURES):
        return " " not in folded
    if folded.startswith(_STAMPED):
        return any(map(str.isdigit, folded)) and _SENTENCE_END.search(folded) is None and len(folded) <= _BEGINNING
    return line[0].isdigit() and _STAMP.fullmatch(line) is not None


def _is_byline(line: str, folded: str) -> bool:
    """Who wrote or sent it: "كتب: …", "By …", "… - وكالات"."""
    if folded.startswith(_WRITERS):
        writer = _WRITER.fullmatch(folded)
        if writer is not None and writer[1] in _WRITERS:
            return True
    if line.startswith(("By ", "BY ", "Par ", "Por ", "Von ")):
        return _BY.fullmatch(line) is not None
    if len(folded) > _BEGINNING or not folded.rstrip(")").endswith(_AGENCY_ENDINGS):
        return False
    sent = _PLACE_AND_AGENCY.fullmatch(folded)
    return sent is not None and sent[1].strip() in _AGENCIES


def _is_caption(folded: str) -> bool:
    """A picture's caption ends in its credit and is no full sentence."""
    credit = _CREDIT.search(folded) if len(folded.split()) <= _CAPTION_WORDS else None
    return credit is not None and credit[1].strip() in _AGENCIES


def _links(lines: list[_Line], first: int) -> Iterator[int]:
    """The headlines under a "read also": short lines to the end, but one only where the article goes on."""
    links: list[int] = []
    for number, line in islice(enumerate(lines), first, first + _MOST_LINKS + 1):
        if len(line.text) > _LONGEST_LINK or _SENTENCE_END.search(line.text):
            yield from links[:1]
            return
        links.append(number)
    yield from links[:_MOST_LINKS]


def _spans(lines: list[_Line], marked: set[int]) -> list[Span]:
    spans: list[Span] = []
    last = -2
    for number in sorted(marked):
        line = lines[number]
        if number == last + 1:
            spans[-1] = Span(start=spans[-1].start, end=line.end)
        else:
            spans.append(Span(start=line.start, end=line.end))
        last = number
    return spans
