"""Names recognised by their capitals and a cue next to them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrich.entities.recognition.capitals import find
from enrich.languages import files
from enrich.text.tokens import Passage


def names(text: str, language: str) -> list[tuple[str, str]]:
    """Name and type of every span."""
    return [(text[span.start : span.end], span.type) for span in find(Passage(text), language)]


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "The vaccines are safe, said Amna Idris in the capital.", [("Amna Idris", "PER")]),
        ("en", "The session chairman Tarq al-Mansour left early.", [("Tarq al-Mansour", "PER")]),
        ("en", "The prize went to Zandile Mokoena, who leads the choir.", [("Zandile Mokoena", "PER")]),
        ("en", "She studied at King Saud University for a year.", [("King Saud University", "ORG")]),
        ("en", "The Central Bank of Egypt lowered its rates.", [("Central Bank of Egypt", "ORG")]),
        ("en", "A shop run by Widget Works Ltd has opened.", [("Widget Works Ltd", "ORG")]),
        (
            "en",
            "It hit the town of Bni Yazgha in Midelt province.",
            [("Bni Yazgha", "LOC"), ("Midelt", "LOC")],
        ),
        (
            "fr",
            "Selon Mme Dupont, la Banque de Lyon prête moins.",
            [("Dupont", "PER"), ("Banque de Lyon", "ORG")],
        ),
        ("es", "Lo dijo ayer la directora Elena Cárdenas de pie.", [("Elena Cárdenas", "PER")]),
        ("de", "Das sagte Verhandlungsführerin Maren Petersen Journalisten am Abend.", [("Maren Petersen", "PER")]),
        ("ru", "По словам Арины Дугаровой, вода стала теплее.", [("Арины Дугаровой", "PER")]),
        ("ru", "Выступил мэр Самары Сергей Ветлугин и другие гости.", [("Сергей Ветлугин", "PER")]),
        ("pt", "O mercado foi reaberto por João Pereira da Silva no sábado.", [("João Pereira da Silva", "PER")]),
        ("tr", "Dün akşam konuşan Mehmet Yılmaz sonucu anlattı.", [("Mehmet Yılmaz", "PER")]),
    ],
)
def test_names_with_a_cue_are_found(language: str, text: str, expected: list[tuple[str, str]]) -> None:
    """A given name, a title, a word of institutions or of places marks a name and its type."""
    assert names(text, language) == expected


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Yesterday Parliament rose. Regional officials met in Wonderland on Monday and left in May."),
        ("en", "The General Assembly met, as every year, and so did all who came with it."),
        ("en", "Shops are closed on Bank Holiday and the days that follow it in the spring."),
        ("en", "STORM LEAVES THOUSANDS WITHOUT POWER"),
        ("en", "the Russian president spoke to European ministers about it"),
        ("de", "Die Ministerin versprach den Bauern Hilfe und den Schulen Geld für neue Bücher."),
        ("de", "Er wohnt seit einem Jahr in der Karl Straße und geht zu Fuß."),
        ("ru", "Об этом сообщил президент России на встрече в понедельник."),
        ("es", "Ayer llegó a San José de Costa Rica con su familia y sus amigos."),
        ("ar", "قال الرئيس إن العمل انتهى"),
        ("zh", "市政府批准沿河修建自行车道"),
    ],
)
def test_words_without_a_cue_are_no_names(language: str, text: str) -> None:
    """Sentence starts, headlines in capitals, demonyms, days, German nouns and streets are no names."""
    assert names(text, language) == []


def test_a_name_is_found_again_without_a_cue() -> None:
    """A person who was named in full is found by the surname, an institution by its name at a sentence's start."""
    text = "It was found by Amna Al Idris. Later Al Idris left it, and the street of Al Idris was closed."
    assert names(text, "en") == [("Amna Al Idris", "PER"), ("Al Idris", "PER"), ("Al Idris", "PER")]


@given(
    st.text(st.sampled_from("Ab С я.,- '\n\"’1()\ud800\u0301")) | st.text(),
    st.sampled_from([*(language.code for language in files.having(files.CAPITALS)), "ar", "und"]),
)
@settings(deadline=None)
def test_spans_are_in_order_and_in_the_text(text: str, language: str) -> None:
    """For any text, spans are in the text, in order and without overlap."""
    end = 0
    for span in find(Passage(text), language):
        assert end <= span.start < span.end <= len(text)
        assert 0 < span.score < 1
        end = span.end


@pytest.mark.parametrize("text", ["Anna " * 20_000, "A" * 100_000, "A-" * 30_000, "Anna de " * 20_000, "((" * 100_000])
def test_hostile_texts_end(text: str) -> None:
    """Very long runs of capitals, words and brackets take linear time."""
    assert isinstance(find(Passage(text + " and so on" * 10), "en"), list)
