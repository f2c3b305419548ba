"""Each section of the evaluation runs on tiny inputs and has the prose of docs/reference/evaluation.md."""

import io
import json
import lzma
import re
import tarfile
import zipfile
from pathlib import Path

import pytest

from evaluation.__main__ import DOCUMENT, PREFACE, sections
from evaluation.ner import HELD_OUT_FROM, TRAIN_FILE
from evaluation.report import sections as written_sections
from evaluation.titles import FILE as TITLES_FILE
from tests.harness import seed_articles

TITLES = tuple(sections())
PAGE = DOCUMENT.read_text(encoding="utf-8")


def anercorp(folder: Path) -> None:
    """ANERcorp's training part: one word and its tag per line."""
    sentence = "زار O\nفلاديمير B-PERS\nبوتين I-PERS\nالقاهرة B-LOC\n. O\n"
    file = folder / TRAIN_FILE
    file.parent.mkdir()
    file.write_text("\n".join(["كلمة O\n"] * HELD_OUT_FROM + [sentence] * 3), encoding="utf-8")


def antcorpus(folder: Path) -> None:
    """The ANT corpus: an archive of articles by section, all of them newer than the training articles."""
    path = folder / "antcorpus" / "antcorpus-1.1.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as archive:
        for section in ("sport", "economy", "society"):
            text = "<TITLE>فوز المنتخب</TITLE><TIME>30/12/2017</TIME><TEXT>فاز فريق كرة القدم في البطولة.</TEXT>"
            member = tarfile.TarInfo(f"antcorpus/{section}/{section}-1.txt")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))


def saudinewsnet(folder: Path) -> None:
    """SaudiNewsNet: one ZIP file of JSON per day; two of the articles are the same."""
    texts = [article.text for article in seed_articles() if article.text and article.language in ("ar", None)][:22]
    records = [
        {
            "source": f"paper{minute % 3}",
            "url": f"http://paper.example/{minute}",
            "date_extracted": f"2015-07-21 10:{minute:02}:00",
            "title": f"عنوان {minute}",
            "author": "",
            "content": content,
        }
        for minute, content in enumerate([*texts, texts[0]])
    ]
    (folder / "saudinewsnet").mkdir()
    with zipfile.ZipFile(folder / "saudinewsnet" / "2015-07-21.zip", "w") as archive:
        archive.writestr("2015-07-21.json", json.dumps(records))


def og2021(folder: Path) -> None:
    """OG2021: a title, its language and its event per line."""
    titles = {
        "ar": ("المغرب يفوز بذهبية العدو", "الجزائر تخسر أمام مصر في كرة اليد"),
        "en": ("Morocco wins gold in running", "Algeria lose to Egypt in handball"),
    }
    lines = [
        {
            "title": title,
            "text": title,
            "guid": f"{language}{event}",
            "source": language,
            "published_at": f"2021-07-01T0{event}:00:00Z",
            "cluster": f"event-{event}",
            "lang": language,
        }
        for language, own in titles.items()
        for event, title in enumerate(own)
    ]
    # No text is left of this one.
    lines.append({**lines[0], "guid": "empty", "title": "https://news.example/1", "text": "https://news.example/1"})
    (folder / TITLES_FILE).parent.mkdir()
    with lzma.open(folder / TITLES_FILE, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny corpora, each in the format in which it is published."""
    folder = tmp_path_factory.mktemp("corpora")
    for corpus in (anercorp, antcorpus, saudinewsnet, og2021):
        corpus(folder)
    return folder


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one labelled article."""
    folder = tmp_path_factory.mktemp("samples")
    (folder / "one.txt").write_text("Vladimir Putin met Emmanuel Macron in Cairo.", encoding="utf-8")
    label = {"file": "one.txt", "entities": [{"wikidata_id": "Q7747"}, {"wikidata_id": "Q85"}, {"name_ar": ["x"]}]}
    (folder / "gold.json").write_text(json.dumps([label]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def quick(data: Path, labelled: Path) -> dict[str, object]:
    """All sections with small sizes; streams that several of them need are made once."""
    return dict(sections(data, labelled, quick=True))


def without_figures(text: str) -> list[str]:
    """The paragraphs of a section, with # for each number, and of its tables the first rows."""
    paragraphs = [part.partition("\n")[0] if part.startswith("|") else part for part in text.strip().split("\n\n")]
    return [re.sub(r"\(median delay: .*? minutes\)|\d[\d,.]*\d|\d", "#", part) for part in paragraphs]


@pytest.mark.parametrize("title", TITLES)
def test_each_section_is_measured_and_has_the_prose_of_the_page(title, quick):
    """A section runs on tiny inputs, and ``make evaluate`` would change only figures of the page."""
    assert without_figures(quick[title]()) == without_figures(written_sections(PAGE)[title])


def test_the_page_has_these_sections_in_this_order():
    """Preface and headings of the page are those that ``make evaluate`` writes."""
    assert PAGE.startswith(PREFACE)
    assert tuple(written_sections(PAGE)) == TITLES


def test_a_section_without_its_corpus_is_not_measured():
    """Without ``--data`` and ``--samples`` the sections on corpora return None, so that the page keeps its figures."""
    without = sections(quick=True)
    corpora = (
        "Cleaning on real news",
        "Entities",
        "Topics on a corpus",
        "Linking on other articles",
        "Stories of titles",
    )
    assert [without[title]() for title in corpora] == [None] * len(corpora)
