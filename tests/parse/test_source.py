from __future__ import annotations

import pytest

from scraper.parse.source import Source

XHTML = "application/xhtml+xml"


def test_html_is_handed_on_as_it_is() -> None:
    body = b"<p/><br/><script src=x />"
    assert Source(body).markup_utf8 is body
    assert Source(body).markup == body.decode()


@pytest.mark.parametrize(
    ("xml", "html"),
    [
        ("<a name='x'/>", "<a name='x'></a>"),
        ("<script src='x/y' />", "<script src='x/y' ></script>"),
        ("<p/>", "<p></p>"),
        ("<br/><IMG src='a'/>", "<br/><IMG src='a'/>"),
        ("<a title='>'/>", "<a title='>'></a>"),
        ('<a href="/x/">y</a>', '<a href="/x/">y</a>'),
        ("<title><![CDATA[1 < 2 & 3]]></title>", "<title>1 &lt; 2 &amp; 3</title>"),
        ("<x:y/>", "<x:y></x:y>"),
    ],
)
def test_xml_is_rewritten_to_mean_the_same_as_html(xml: str, html: str) -> None:
    assert Source(xml.encode(), XHTML).markup == html
    assert Source(xml.encode(), XHTML).markup_utf8 == html.encode()


def test_nul_becomes_the_replacement_character() -> None:
    assert Source(b"a\0b").markup == "a\ufffdb"
    assert Source(b"a\0b").markup_utf8.decode() == "a\ufffdb"


def test_the_text_itself_keeps_everything() -> None:
    assert Source(b"a\0<p/>", XHTML).text == "a\0<p/>"


@pytest.mark.parametrize("unit", ["<a b='", '<a b="', "<a /", "<a b=c ", "<![CDATA[", "<a\t"])
def test_hostile_xml_takes_no_long_time(unit: str) -> None:
    text = unit * 100_000
    assert len(Source(text.encode(), XHTML).markup) >= len(text)
