"""Recognition of names in Arabic texts."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrich.entities import recognition
from enrich.entities.recognition import clitics, decoding
from enrich.entities.recognition.recognizer import NameSpan
from enrich.entities.recognition.sentences import LONGEST, sentences
from enrich.entities.recognition.student import Student
from enrich.text.pieces import Pieces
from enrich.text.tokens import Passage
from services.errors import OperatorError
from tests.harness import seed_articles

WORDS = (
    "قال الرئيس الروسي فلاديمير بوتين في موسكو إن وبوتين لروسيا وكالة رويترز محمد بن سلمان Reuters 2026 "
    "الجامعة العربية وليد لبنان ( ) « » . ، ؟ : 3.5 الأمم المتحدة بالقاهرة"
).split()
TEXTS = st.lists(st.sampled_from([*WORDS, "\n", "\n\n"]), max_size=60).map(" ".join)


def find(text: str) -> list[NameSpan]:
    """The names of a text."""
    return recognition.load().find(Passage(text))


def found(text: str) -> list[tuple[str, str]]:
    """The names of a text as (words, type)."""
    return [(text[span.start : span.end], span.type) for span in find(text)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (
            "وقال وزير الخارجية الروسي سيرجي لافروف في موسكو إن بلاده مستعدة للحوار.",
            {("سيرجي لافروف", "PER"), ("موسكو", "LOC")},
        ),
        (
            "أعلن الرئيس الفرنسي إيمانويل ماكرون في باريس دعم فرنسا لأوكرانيا.",
            {("إيمانويل ماكرون", "PER"), ("باريس", "LOC"), ("فرنسا", "LOC"), ("أوكرانيا", "LOC")},
        ),
        ("وذكرت وكالة رويترز أن محمد بن سلمان زار القاهرة", {("القاهرة", "LOC")}),
    ],
)
def test_names_are_found(text: str, names: set[tuple[str, str]]) -> None:
    """People and places of ordinary news sentences, with their types and without their titles."""
    assert names <= set(found(text))


def test_names_outside_the_gazetteer_are_found() -> None:
    """Invented people are recognised by the words around them."""
    text = "وقالت الباحثة سلمى الخروبي لصحيفة الأهرام إن الدراسة بدأت العام الماضي."
    assert ("سلمى الخروبي", "PER") in found(text)


def test_titles_are_no_names() -> None:
    """An office with an adjective of nationality is no name."""
    assert found("وصل الرئيس الفرنسي مساء أمس، والتقى نظيره الروسي.") == []


def test_text_without_names_has_none() -> None:
    """Ordinary prose has no names."""
    assert found("ارتفعت الأسعار في الأسواق خلال الأسبوع الماضي بسبب زيادة الطلب.") == []


@pytest.mark.parametrize(
    ("surface", "skipped"),
    [
        ("وبوتين", 1),
        ("لروسيا", 1),
        ("وَبوتين", 2),
        ("وبالقاهرة", 2),
        ("بباريس", 1),
        ("للسعودية", 1),
        ("وليد", 0),
        ("بوتين", 0),
        ("لبنان", 0),
        ("كوريا", 0),
        ("كسلا", 0),
        ("وكسلا", 1),
        ("كبغداد", 1),
        ("فرنسا", 0),
        ("باريس", 0),
        ("ليبيا", 0),
        ("واشنطن", 0),
        ("لافروف", 0),
        ("بغداد", 0),
        ("فلسطين", 0),
        ("بيروت", 0),
    ],
)
def test_particles_are_distinguished_from_first_letters(surface: str, skipped: int) -> None:
    """و ف ب ل ك before a name are no part of it; the same letters at the beginning of a name are."""
    (word,) = Passage(surface).words
    assert clitics.length(word.surface, word.form, ()) == skipped


def test_names_of_the_article_distinguish_particles() -> None:
    """An unknown name that the article has without a particle is recognised with one."""
    assert clitics.length("بزخروف", "بزخروف", ()) == 0
    assert clitics.length("بزخروف", "بزخروف", {"زخروف"}) == 1


def test_three_letters_after_a_rare_particle_are_a_name_when_the_article_has_them_alone() -> None:
    """«كمصر» could be one name, like «كسلا», unless the article has مصر too."""
    assert clitics.length("كمصر", "كمصر", ()) == 0
    assert clitics.length("كمصر", "كمصر", {"مصر"}) == 1
    assert clitics.length("بمصر", "بمصر", ()) == 1


def test_particles_in_a_sentence_are_not_part_of_names() -> None:
    """«وبوتين», «لماكرون»: the names begin after the particle."""
    names = {name for name, _ in found("وقال فلاديمير بوتين لماكرون إن روسيا وأوكرانيا ستتفاوضان.")}
    assert {"فلاديمير بوتين", "ماكرون", "روسيا", "أوكرانيا"} <= names


@given(TEXTS)
@settings(max_examples=60, deadline=None)
def test_spans_are_in_order_and_on_words(text: str) -> None:
    """Spans are not empty, do not overlap, begin within a word and end with one."""
    words = Passage(text).words
    ends = {word.end for word in words}
    before = 0
    for span in find(text):
        assert before <= span.start < span.end <= len(text)
        assert span.end in ends
        (first,) = [word for word in words if word.start <= span.start < word.end]
        assert span.start - first.start == 0 or first.surface[0] in "وفبلك"
        assert 0 <= span.score <= 1
        before = span.end


@given(TEXTS, TEXTS)
@settings(max_examples=60, deadline=None)
def test_a_new_paragraph_changes_nothing_before_it(text: str, paragraph: str) -> None:
    """Names found in a text are the same when the text is longer."""
    names = find(text)
    longer = find(f"{text}\n\n{paragraph}")
    assert longer[: len(names)] == names
    assert all(span.start > len(text) for span in longer[len(names) :])


@given(st.text(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_text_has_a_result(text: str) -> None:
    """For any characters: the same names both times, inside the text."""
    names = find(text)
    assert names == find(text)
    assert all(text[span.start : span.end].strip() for span in names)


def test_earlier_texts_change_nothing() -> None:
    """A recognizer that has processed many texts finds the same as a new one."""
    text = "التقى سيرجي لافروف في موسكو وزير خارجية مصر."
    before = find(text)
    for seed in seed_articles()[:10]:
        find(seed.text or "")
    assert find(text) == before == Student().find(Passage(text))


def test_a_full_cache_of_words_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the cache is full, vectors are computed again, with the same result."""
    texts = [seed.text for seed in seed_articles() if seed.text][:20]
    monkeypatch.setattr("enrich.entities.recognition.student._AT_ONCE", 100)
    remembering = Student()
    expected = [remembering.find(Passage(text)) for text in texts]
    monkeypatch.setattr("enrich.entities.recognition.student._KEPT", 300)
    forgetful = Student()
    assert [forgetful.find(Passage(text)) for text in texts] == expected


def test_threads_share_one_recognizer() -> None:
    """Several threads at once get the same result as one."""
    texts = [seed.text for seed in seed_articles() if seed.text][:12]
    alone = [find(text) for text in texts]
    together: dict[int, list[list[NameSpan]]] = {}

    def work(number: int) -> None:
        together[number] = [find(text) for text in texts]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[number] for number in range(4)] == [alone] * 4


@pytest.mark.parametrize(
    "text",
    ["(" * 300_000, "ا" * 100_000, "كلمة " * 40_000, "« " * 100_000, "\n" * 300_000, "." * 300_000, "ـ" * 100_000],
)
def test_hostile_texts_are_bounded(text: str) -> None:
    """Very many brackets, words and lines are processed."""
    assert len(find(text)) <= len(text)


def test_sentences_are_bounded_and_whole() -> None:
    """Sentences end at marks and lines, and a long one is cut."""
    text = "قال محمد: «نعم». ثم ذهب\nوعاد " + "كلمة " * 200
    cut = list(sentences(Passage(text)))
    assert [unit.surface for unit in cut[0]] == ["قال", "محمد", ":", "«", "نعم", "»", "."]
    assert [unit.surface for unit in cut[1]] == ["ثم", "ذهب"]
    assert max(map(len, cut)) == LONGEST
    assert all(text[unit.start : unit.end] == unit.surface for sentence in cut for unit in sentence)


def test_decoding_is_legal() -> None:
    """A label never continues a name that has not begun, even if it is the most probable."""
    scores = decoding.np.full((2, 9), -5.0, decoding.np.float32)
    scores[0, 0] = scores[1, decoding.LABELS.index("I-PER")] = -0.1
    labels = [decoding.LABELS[label] for label in decoding.decode(scores)]
    assert labels in (["O", "O"], ["B-PER", "I-PER"], ["O", "B-PER"])


def test_pieces_are_the_likeliest() -> None:
    """Of all divisions of a word the one with the best score is used; unknown characters are marked."""
    cut = Pieces([("<unk>", 0.0), ("▁", -1.0), ("▁ab", -2.0), ("a", -3.0), ("b", -3.0), ("c", -1.5)], 0)
    assert cut.of("abc") == [2, 5]
    assert cut.of("ax") == [1, 3, 0]


def test_missing_files_of_the_quality_tier_are_named(tmp_path: Path) -> None:
    """The error names the missing files and the folder."""
    with pytest.raises(OperatorError, match=r"encoder\.onnx and pieces\.txt"):
        recognition.load("quality", tmp_path)
    with pytest.raises(OperatorError, match="folder"):
        recognition.load("quality")


def test_a_damaged_model_is_named(tmp_path: Path) -> None:
    """An invalid model file is reported in one sentence."""
    (tmp_path / "encoder.onnx").write_bytes(b"none")
    (tmp_path / "pieces.txt").write_text("<s>\t0.0\n")
    with pytest.raises(OperatorError, match=r"encoder\.onnx"):
        recognition.load("quality", tmp_path)


def test_the_camel_tier_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its neural parts or data the message names both."""

    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr("enrich.entities.recognition.camel.importlib.import_module", missing)
    with pytest.raises(OperatorError, match=r"khabar\[camel\].*camel_data"):
        recognition.load("camel")


def test_unknown_tiers_are_refused() -> None:
    """A tier that does not exist is a wrong setting."""
    with pytest.raises(OperatorError, match="default, quality, camel"):
        recognition.load("best")


def test_recognition_sends_no_telemetry(tmp_path: Path) -> None:
    """The telemetry of onnxruntime is switched off in any environment, and it stores no id."""
    code = (
        "import os, sys\n"
        "class Seen:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'onnxruntime': print(os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "sys.meta_path.insert(0, Seen())\n"
        "from enrich.entities import recognition\n"
        "recognition.load()\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == ["1"]
    assert not list(tmp_path.iterdir())
