"""Bytes in any encoding become text."""

import codecs

import pytest

from services.documents.encodings import decode, labels

ARABIC = "أعلنت وزارة الطاقة في عمان اليوم افتتاح محطة شمسية جديدة قرب معان، بطاقة ستين ميغاواط بعد عامين من العمل."
SHORT = "ارتفاع أسعار القمح في الأسواق"
RUSSIAN = "Президент страны заявил вчера, что переговоры о поставках зерна продолжатся в конце недели."
FRENCH = "Le président a déclaré mercredi que la réforme des retraites serait présentée à l'été."
TURKISH = "Cumhurbaşkanı dün yaptığı açıklamada görüşmelerin haftaya süreceğini söyledi, ışıklar söndü."
PERSIAN = "وزیر خارجه ایران گفت که گفتگوها با همسایگان در هفته آینده ادامه خواهد یافت"
OTHERS = {
    "gb18030": "新华社北京电国务院总理昨天在会议上表示要继续推进改革开放促进经济发展",
    "big5": "總統昨日在記者會上表示政府將繼續推動能源轉型並加強與鄰國的合作關係",
    "shift_jis": "首相は昨日の記者会見で来週の会議に参加する予定だと述べた。天気は晴れです。",
    "euc-kr": "대통령은 어제 기자회견에서 다음 주 회담이 계속될 것이라고 밝혔다",
}


def feed(text: str, encoding: str = "utf-8", declared: str | None = None) -> bytes:
    """A feed document with one item."""
    declaration = f' encoding="{declared}"' if declared else ""
    item = (
        f"<item><title>{text[:30]}</title><link>https://news.example/1</link><description>{text}</description></item>"
    )
    return f'<?xml version="1.0"{declaration}?><rss version="2.0"><channel>{item}</channel></rss>'.encode(encoding)


def read(data: bytes, content_type: str = "") -> str:
    """The text that is read."""
    return decode(data, labels(data, content_type))[0]


def same(data: bytes, encoding: str) -> str:
    """The right text."""
    return data.decode(encoding)


@pytest.mark.parametrize(
    "declared", [None, "windows-1256", "iso-8859-1", "UTF-16", "windows-1252", "ascii", "nonsense"]
)
@pytest.mark.parametrize("text", [ARABIC, RUSSIAN, FRENCH, SHORT, "a"])
def test_valid_utf8_wins_over_what_is_declared(declared: str | None, text: str) -> None:
    """UTF-8 is read as UTF-8 whatever the header and the declaration say."""
    data = feed(text, declared=declared)
    assert read(data, f"text/xml; charset={declared}") == data.decode()


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xe9", b"\x93", b"\xd8 ", b"\xed\xa0\x80"])
def test_a_bad_byte_costs_itself(bad: bytes) -> None:
    """A bad byte in UTF-8 becomes U+FFFD, all other letters are kept, and it is a problem."""
    data = feed(ARABIC)
    middle = data.index("الطاقة".encode())
    text, encoding, problems = decode(data[:middle] + bad + data[middle:], ["utf-8"])
    assert encoding == "utf-8"
    assert text.replace("\ufffd", "").replace(" ", "") == data.decode().replace(" ", "")
    assert any("invalid" in problem for problem in problems)


def test_a_cut_letter_costs_itself() -> None:
    """A document that ends within a letter is UTF-8 all the same."""
    data = feed(ARABIC)[:-60]
    while data[-1] < 0x80:
        data = data[:-1]
    text, encoding, _ = decode(data[:-1])
    assert (encoding, text[-1]) == ("utf-8", "\ufffd")


@pytest.mark.parametrize("declared", [None, "utf-8", "windows-1252", "iso-8859-1", "windows-1251", "utf-16", "x"])
@pytest.mark.parametrize("encoding", ["windows-1256", "iso-8859-6", "mac_arabic"])
@pytest.mark.parametrize("text", [ARABIC, SHORT])
def test_arabic_code_pages_are_known_by_their_letters(encoding: str, declared: str | None, text: str) -> None:
    """Arabic is read whatever code page is declared for it, or none."""
    data = feed(text, encoding, declared)
    assert read(data, f"text/xml; charset={declared}" if declared else "text/xml") == same(data, encoding)


@pytest.mark.parametrize("encoding", ["windows-1256", "cp1256", "x-windows-1256", "Windows1256"])
def test_persian(encoding: str) -> None:
    """Letters of Persian in windows-1256, under its names."""
    text = PERSIAN.replace("ی", "ي")
    assert read(feed(text, "cp1256", encoding)) == same(feed(text, "cp1256", encoding), "cp1256")


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("windows-1251", RUSSIAN),
        ("koi8-r", RUSSIAN),
        ("windows-1254", TURKISH),
        ("windows-1252", FRENCH),
        *OTHERS.items(),
    ],
)
def test_other_code_pages(encoding: str, text: str, declared: bool) -> None:
    """Code pages of other languages are read as declared; without a declaration they are recognised."""
    data = feed(text, encoding, encoding if declared else None)
    assert read(data) == same(data, encoding)


def test_turkish_declared_as_latin_1() -> None:
    """Latin-1 is what software declares without looking: Turkish under it is recognised, French stays."""
    assert "yaptığı açıklamada" in read(feed(TURKISH, "cp1254", "iso-8859-1"))
    assert FRENCH in read(feed(FRENCH, "latin-1", "iso-8859-1"))


@pytest.mark.parametrize("mark", [True, False])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", [ARABIC, OTHERS["gb18030"], "Wheat"])
def test_wide_encodings(encoding: str, mark: bool, text: str) -> None:
    """UTF-16 and UTF-32 are read with and without a byte order mark, whatever is declared."""
    data = feed(text, encoding, "utf-8")
    marks = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
    bom = marks.get(encoding, codecs.BOM_UTF32_LE if encoding == "utf-32-le" else codecs.BOM_UTF32_BE)
    assert read(bom + data if mark else data) == same(data, encoding)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_plain_arabic_in_utf16(encoding: str) -> None:
    """A text file without any markup."""
    assert read(ARABIC.encode(encoding)) == ARABIC


def test_declared_as_utf16_but_is_not() -> None:
    """8-bit text that is declared as UTF-16, in the header, in itself, or by a wrong mark."""
    assert ARABIC in read(feed(ARABIC, "utf-8", "utf-16"), "text/xml; charset=utf-16le")
    assert ARABIC in read(feed(ARABIC, "cp1256", "utf-16"))
    assert ARABIC in read(codecs.BOM_UTF16_LE + feed(ARABIC))


def test_a_mark_is_no_part_of_the_text() -> None:
    """The byte order mark of UTF-8 is removed, also before windows-1256."""
    assert read(codecs.BOM_UTF8 + feed(ARABIC, declared="windows-1256")).startswith("<?xml")
    assert ARABIC in read(codecs.BOM_UTF8 + feed(ARABIC, "cp1256"))


def test_what_was_wrong_is_a_problem() -> None:
    """A wrong declaration is named; a right one, or one that makes no difference, is no problem."""
    data = feed(ARABIC, "cp1256", "utf-8")
    assert decode(data, labels(data))[1:] == ("cp1256", ["encoding: declared as utf-8, is cp1256"])
    for encoding in ("cp1256", "windows-1256", "x-cp1256"):
        assert decode(feed(ARABIC, "cp1256"), [encoding])[2] == []
    assert decode(b"plain", ["iso-8859-1"])[2] == []


def test_labels() -> None:
    """The header comes first, then the XML declaration, then a meta element; quotes are no part of them."""
    page = (
        b'\n <?xml version="1.0" encoding="koi8-r"?><html><meta http-equiv=x content="text/html; charset=windows-1251">'
    )
    assert labels(page, 'text/html; Charset="utf-8"') == ["utf-8", "koi8-r", "windows-1251"]
    assert labels(b"<meta charset=big5>") == ["big5"]
    assert labels("<?xml version='1.0' encoding='utf-16'?>".encode("utf-16")) == ["utf-16"]


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\xff\xfe", b"\0", b"\xef\xbb\xbf", bytes(range(256)), b"\xfe\xff\xd8\x00"]
)
def test_any_bytes_become_text(data: bytes) -> None:
    """There is no input that raises."""
    text, _, _ = decode(data, ["utf-7", "idna", "hex", "rot13", "", "\0", "utf-16"])
    assert isinstance(text, str)
