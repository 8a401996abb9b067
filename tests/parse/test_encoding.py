from __future__ import annotations

import re
from pathlib import Path

import pytest

from scraper.parse.encoding import charset_of, decode, sniff, to_utf8

DATA = Path(__file__).parents[3] / "shared/data/encoding"

ENCODINGS = (
    "utf-8 utf-16le utf-16be windows-1252 iso-8859-2 koi8-r shift_jis euc-jp iso-2022-jp euc-kr gbk gb18030 big5"
)


def html5lib_cases() -> list[tuple[bytes, str]]:
    cases: list[tuple[bytes, str]] = []
    for file in sorted(DATA.glob("*.dat")):
        found = re.findall(rb"#data\n(.*?)\n#encoding\n(.*?)(?:\n|$)", file.read_bytes(), re.DOTALL)
        cases += [(data, name.decode().lower()) for data, name in found]
    return cases


@pytest.mark.skipif(not DATA.exists(), reason="html5lib's encoding cases are not at hand")
def test_the_standards_cases_are_met() -> None:
    cases = html5lib_cases()
    assert len(cases) >= 82
    assert [(data[:80], name) for data, name in cases if sniff(data, "") != name] == []


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b"\xef\xbb\xbfx", "text/html; charset=koi8-r", "utf-8"),
        (b"\xff\xfex\0", "text/html; charset=koi8-r", "utf-16le"),
        (b"\xfe\xff\0x", "", "utf-16be"),
        (b"<meta charset=koi8-r>", "text/html; charset=iso-8859-2", "iso-8859-2"),
        (b"<meta charset=koi8-r>", "text/html; charset=unheard-of", "koi8-r"),
        (b"<meta charset=koi8-r>", 'text/html;CHARSET="UTF-8"', "utf-8"),
        (b"<meta charset=koi8-r>", "text/html; charset = 'latin1'", "windows-1252"),
        (b"<meta charset=koi8-r>", "text/html; xcharset=utf-8", "koi8-r"),
        (b"<meta charset=utf-16>", "", "utf-8"),
        (b"<meta charset=x-user-defined>", "", "windows-1252"),
        (b"<?xml version='1.0' encoding='koi8-r'?><html>", "text/html", "koi8-r"),
        (b"<?xml version='1.0' encoding='koi8-r'?><meta charset=iso-8859-2>", "text/html", "iso-8859-2"),
        (b"<?xml version='1.0' encoding='koi8-r'?><meta charset=iso-8859-2>", "application/xhtml+xml", "koi8-r"),
        (b"<a>caf\xe9</a>", "application/xml", "utf-8"),
        ("é".encode(), "text/html", "utf-8"),
        (b"caf\xe9", "text/html", "windows-1252"),
        (b"caf", "", "windows-1252"),
        (b"", "", "windows-1252"),
    ],
)
def test_bom_then_header_then_markup_then_a_guess(body: bytes, content_type: str, expected: str) -> None:
    assert sniff(body, content_type) == expected


CONTENT = b"<meta http-equiv=content-type content='text/html; charset=%s'>"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (CONTENT % b"koi8-r", "koi8-r"),
        (CONTENT % b'"koi8-r"', "koi8-r"),
        (CONTENT % b"koi8-r;x", "koi8-r"),
        (CONTENT % b"koi8-r x", "koi8-r"),
        (CONTENT % b'"koi8-r; charset=koi8-r', None),
        (CONTENT % b"; charset=koi8-r", None),
        (CONTENT % b"unheard-of", None),
        (CONTENT % b"utf-16le", "utf-8"),
        (b"<meta content='charset charset = koi8-r' http-equiv=Content-Type>", "koi8-r"),
        (b"<meta content='text/html; charset=koi8-r'>", None),
        (b"<meta http-equiv=refresh content='text/html; charset=koi8-r'>", None),
        (b"<meta charset=unheard-of http-equiv=content-type content='charset=koi8-r'>", None),
        (b"<meta content='charset=big5' charset=koi8-r http-equiv=content-type>", "koi8-r"),
        (b"<meta charset=koi8-r charset=big5>", "koi8-r"),
        (b"<META/CHARSET=KOI8-R>", "koi8-r"),
        (b"<meta charset = 'koi8-r' >", "koi8-r"),
        (b"<metax charset=koi8-r>", None),
        (b"</meta charset=koi8-r>", None),
        (b"<!-- <meta charset=koi8-r> -->", None),
        (b"<!--><meta charset=koi8-r>", "koi8-r"),
        (b"<? <meta charset=koi8-r>", None),
        (b"</ <meta charset=koi8-r>", None),
        (b"<a title='<meta charset=koi8-r>'>", None),
        (b"<a title='x'<meta charset=koi8-r>", None),
        (b"<meta charset='koi8-r", None),
        (b"<meta charset=koi8-r", None),
        (b"<meta charset=unheard-of><meta charset=koi8-r>", "koi8-r"),
    ],
)
def test_a_meta_element_declares_as_the_standard_says(head: bytes, expected: str | None) -> None:
    """See https://html.spec.whatwg.org/#prescan-a-byte-stream-to-determine-its-encoding."""
    assert sniff(head, "") == (expected or "windows-1252")


def test_a_declaration_behind_a_long_comment_counts() -> None:
    """The prescan ends before it, but a browser's tree builder still changes the encoding."""
    assert sniff(b"<!--" + b"x" * 9000 + b"--><meta charset=koi8-r>", "") == "koi8-r"


def test_a_label_that_is_not_ascii_is_none() -> None:
    assert charset_of("text/html; charset=ütf-8") is None


@pytest.mark.parametrize("encoding", ENCODINGS.split())
def test_no_bytes_break_a_decoder(encoding: str) -> None:
    body = bytes(range(256)) * 2 + b"\x1b$B\x00\xff"
    text = decode(body, encoding)
    text.encode()
    assert text


@pytest.mark.parametrize("encoding", ENCODINGS.split())
def test_utf8_and_text_say_the_same(encoding: str) -> None:
    text = "<p>plain, and \xe9 or \u3042</p>"
    body = text.encode(encoding, "ignore")
    assert to_utf8(body, encoding).decode() == decode(body, encoding)
    assert decode(body, encoding).startswith("<p>plain, and ")


def test_ascii_and_utf8_are_not_copied() -> None:
    ascii_body, utf8_body = b"x" * 1000, "é".encode() * 1000
    assert to_utf8(ascii_body, "windows-1252") is ascii_body
    assert to_utf8(utf8_body, "utf-8") is utf8_body


def test_the_byte_order_mark_is_no_text() -> None:
    body = "\ufeffé".encode()
    assert decode(body, "utf-8") == "é"
    assert to_utf8(body, "utf-8") == "é".encode()
    assert decode("\ufeffé".encode("utf-16-le"), "utf-16le") == "é"


def test_a_hostile_head_takes_no_long_time() -> None:
    """Each of these made a naive pattern quadratic or worse."""
    for unit in (b"<meta ", b"<meta charset=", b"<a b='", b"<!--", b"<", b'<meta charset x="', b"/ / / "):
        assert sniff(unit * 200_000 + b"charset", "") == "windows-1252"
