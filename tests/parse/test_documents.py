"""What every parser tells of a page, well-formed or not: the four must agree."""

from __future__ import annotations

import pytest

from scraper.errors import NestingTooDeep
from scraper.model import Links
from scraper.parse.outline import outline
from scraper.parse.page import Page

from .conftest import MakePage

ARTICLE = """<!DOCTYPE html>
<html lang="en-GB">
<head>
  <meta charset="utf-8"><title>
    Fish &amp; Chips </title>
  <meta name="Description" content="  What
    to eat ">
  <link rel="stylesheet" href="/style.css"><link rel="Canonical" href="/fish?x=1#top">
</head>
<body>
  <h2>not this</h2>
  <h1>Fish <em>and</em>&nbsp;chips<script>no()</script><style>no{}</style><!-- no --></h1>
  <p><a href="/a">a</a> <a href="b#x">b</a> <a href="b">b</a> <a name="c">c</a>
  <a href="mailto:x@example.org">m</a> <a href="https://other.example">o</a></p>
  <map name="m"><area href="/area"></map>
  <svg viewBox="0 0 1 1"><a href="/svg"><title>no</title></a></svg>
</body>
</html>"""


def item_of(page: Page) -> dict[str, object]:
    item, links = outline(page)
    assert isinstance(item, dict)
    assert isinstance(links, Links)
    assert links.urls == tuple(page.links())
    return item


def test_the_outline_of_a_well_formed_page(make_page: MakePage) -> None:
    page = make_page(ARTICLE)
    assert item_of(page) == {
        "url": "http://example.org/d/page",
        "status": 200,
        "title": "Fish & Chips",
        "h1": "Fish and chips",
        "description": "What to eat",
        "canonical": "http://example.org/fish?x=1",
        "lang": "en-GB",
        "links": 5,
    }
    assert page.links() == [
        "http://example.org/a",
        "http://example.org/d/b",
        "https://other.example/",
        "http://example.org/area",
        "http://example.org/svg",
    ]


def test_a_page_without_anything_has_an_outline(make_page: MakePage) -> None:
    for body in (b"", b" \n", b"<!-- x -->", b"\0", b"text.html", b"<html></html>"):
        item = item_of(make_page(body))
        assert item.pop("url") == "http://example.org/d/page"
        assert item.pop("status") == 200
        assert item.pop("links") == 0
        assert set(item.values()) == {None}


TITLES = {
    "<title>a &amp; b &eacute; &lt;x&gt; &copy 5</title>": "a & b é <x> © 5",
    "<title>1</title><title>2</title>": "1",
    "<title> </title><title>2</title>": "2",
    "<title><b>x</b></title>": "<b>x</b>",
    "<title>never ends <a href=x>": "never ends <a href=x>",
    "<TITLE>x</TITLE >": "x",
    "<title>a\0b</title>": "a\ufffdb",
    "<body><p><title>late</title>": "late",
    "<template><title>no</title></template><title>yes</title>": "yes",
}


@pytest.mark.parametrize(("markup", "title"), TITLES.items())
def test_titles(make_page: MakePage, markup: str, title: str) -> None:
    assert make_page(markup).title == title


HEADINGS = {
    "<h1>a<br>b</h1>": "ab",
    "<h1>\n a  <b>b</b>\tc</h1>": "a b c",
    "<h1><img></h1><h1>second</h1>": "second",
    "<h1>\n<h1><span>nested</span></h1></h1>": "nested",
    "<template><h1>no</h1></template><h1>yes</h1>": "yes",
    "<h1>a<template>no</template>b</h1>": "ab",
    "<h1><svg><title>of the image</title></svg> text</h1>": "of the image text",
    "<h1>never ends": "never ends",
}


@pytest.mark.parametrize(("markup", "heading"), HEADINGS.items())
def test_headings(make_page: MakePage, markup: str, heading: str) -> None:
    assert make_page(markup).h1 == heading


def test_meta(make_page: MakePage) -> None:
    page = make_page(
        "<meta name=a content=''><META NAME=A CONTENT=' 1  2 '><meta name=a content=3><p><meta name=B content=b>"
    )
    assert page.meta("a") == "1 2"
    assert page.meta("A") == "1 2"
    assert page.meta("b") == "b"
    assert page.meta("c") is None


@pytest.mark.parametrize(
    ("markup", "canonical"),
    [
        ("<link rel='x CANONICAL' href=/c>", "http://example.org/c"),
        ("<body><p><link rel=canonical href=c>", "http://example.org/d/c"),
        ("<link rel=canonical><link rel=canonical href=c>", "http://example.org/d/c"),
        ("<link rel=canonical href='mailto:x'>", None),
        ("<link rel=noncanonical href=c>", None),
        ("<base href=/e/><link rel=canonical href=c>", "http://example.org/e/c"),
    ],
)
def test_canonical(make_page: MakePage, markup: str, canonical: str | None) -> None:
    assert make_page(markup).canonical == canonical


@pytest.mark.parametrize(
    ("markup", "lang"), [("<html lang=' de '>", "de"), ("<html lang>", None), ("<p lang=de>", None)]
)
def test_lang(make_page: MakePage, markup: str, lang: str | None) -> None:
    assert make_page(markup).lang == lang


HREFS = {
    # attributes
    "<a href='?a=1&copy=2&region=3&amp;b&lt&ltx=1&notit;&#x2f;&#47&sect;'>": [
        "?a=1&copy=2&region=3&b<&ltx=1&notit;//§"
    ],
    """<a class="x"" href=1><a href = ' 2 '><a href=3/><a href='4' href=5><a HREF=6>""": ["1", " 2 ", "3/", "4", "6"],
    "<a\nhref=1><a/href=2><a href><a href=''><a =href=3><a 'href'=4><a href='5>'>": ["1", "2", "", "", "5>"],
    "<a href=1/>text<a href=2 />": ["1/", "2"],
    "<a href='a\nb\tc'>": ["a\nb\tc"],
    "<A Href=x></A>": ["x"],
    "<a href='a\0b'>": ["a\ufffdb"],
    # where a link may stand
    "<select><a href=1><option><a href=2></select><button><a href=3></button>": ["1", "2", "3"],
    "<table><tr><td><a href=1></td></tr></table>": ["1"],
    "<a href=1><a href=2></a></a><p><a href=3><p>": ["1", "2", "3"],
    "<noscript><a href=1></noscript><object><a href=2></object>": ["1", "2"],
    "<svg><a href=1 xlink:href=no></svg><math><a href=2></math>": ["1", "2"],
    "</html><a href=1>": ["1"],
    "1 < 2 <3 <a href=1><<a href=2></ x><a href=3></><a href=4>": ["1", "2", "3", "4"],
    # where it is text, a comment, or in a template
    "<title><a href=1></title><textarea><a href=2></textarea><a href=3>": ["3"],
    "<script>'<a href=1>'</script><style><a href=2></style><iframe><a href=3></iframe><a href=4>": ["4"],
    "<xmp><a href=1></xmp><noembed><a href=2></noembed><a href=3>": ["3"],
    "<!-- <a href=1> --><!--[if IE]><a href=2><![endif]--><!--[if !IE]><!--><a href=3><!--<![endif]-->": ["3"],
    "<![if !IE]><a href=1><![endif]><?php <a href=2> ?><!foo><![CDATA[ <a href=3> ]]><a href=4>": ["1", "4"],
    "<!--> <a href=1> <!-- never ends <a href=2>": ["1"],
    "<a href=1>x<a href='2": ["1"],
    "<template><a href=1><template></template><a href=2></template><a href=3>": ["3"],
    # which elements
    "<area href=1><a href=2><link href=3><map><area href=4></map><area><base href=5>": ["1", "2", "4"],
}


@pytest.mark.parametrize(("markup", "hrefs"), HREFS.items())
def test_links_are_the_href_of_a_and_area(make_page: MakePage, markup: str, hrefs: list[str]) -> None:
    page = make_page(markup)
    base = make_page("<p>")
    if "<base" in markup:
        base = make_page("<base href=5>")
    expected = [url for href in hrefs if (url := base.join(href)) is not None]
    assert page.links() == list(dict.fromkeys(expected))


@pytest.mark.parametrize(
    ("base", "joined"),
    [
        ("<base href='../other/'>", "http://example.org/other/x"),
        ("<base target=_blank><base href=/1/><base href=/2/>", "http://example.org/1/x"),
        ("<BASE HREF='//cdn.example/'>", "http://cdn.example/x"),
        ("<base href='javascript:alert(1)'>", "http://example.org/d/x"),
        ("<base href='http://['>", "http://example.org/d/x"),
        ("<base href>", "http://example.org/d/x"),
        ("<base href='data:text/html,'>", "http://example.org/d/x"),
        ("<base href='file:///etc/'>", "http://example.org/d/x"),
        (f"<base href='/{'x' * 8_192}/'>", "http://example.org/d/x"),
        ("<p>&lt;base href=/no/> <!-- <base href=/no/> -->", "http://example.org/d/x"),
    ],
)
def test_base_is_honoured_if_it_leads_to_http(make_page: MakePage, base: str, joined: str) -> None:
    assert make_page(f"{base}<a href=x>").links() == [joined]
    assert make_page(f"{base}<a href=x>").join("x") == joined


def test_every_encoding_gives_the_same_page(make_page: MakePage) -> None:
    text = "<title>é あ</title><a href='é'>"
    pages = [
        make_page(text),
        make_page(text.encode()),
        make_page(("\ufeff" + text).encode()),
        make_page(text.encode("utf-16")),
        make_page(("<meta charset=shift_jis>" + text.replace("é", "&eacute;")).encode("shift_jis")),
        make_page(text.encode("gb18030"), content_type="text/html; charset=gbk"),
    ]
    assert {page.title for page in pages} == {"é あ"}
    assert {tuple(page.links()) for page in pages} == {("http://example.org/d/%C3%A9",)}


def test_a_lying_charset_gives_text_all_the_same(make_page: MakePage) -> None:
    page = make_page(b"<title>caf\xe9</title><a href='caf\xe9'>", content_type="text/html; charset=utf-8")
    assert page.title == "caf\ufffd"
    assert page.links() == ["http://example.org/d/caf%EF%BF%BD"]
    assert make_page(b"<title>x</title>", content_type="text/html; charset=utf-16").title is None


def test_a_frameset_has_a_title_and_no_links(make_page: MakePage) -> None:
    page = make_page(
        "<html><head><title>f</title></head><frameset cols=1><frame src=a>"
        "<noframes><body><a href=x>y</a></body></noframes></frameset></html>"
    )
    assert page.title == "f"
    assert page.links() == []


def test_xhtml_is_read_as_xml_means_it(make_page: MakePage) -> None:
    page = make_page(
        "<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml' lang='de'><head><script src='a'/>"
        "<title>1<![CDATA[<]]>2</title></head><body><a name='q'/><h1>H</h1><br/><a href='l'>z</a></body></html>",
        content_type="application/xhtml+xml",
    )
    assert (page.title, page.h1, page.lang, page.links()) == ("1<2", "H", "de", ["http://example.org/d/l"])


def test_a_feed_has_a_title(make_page: MakePage) -> None:
    page = make_page(
        "<?xml version='1.0' encoding='utf-8'?><rss><channel><title>feed</title><link>http://x/</link></channel></rss>",
        content_type="application/rss+xml",
    )
    assert page.title == "feed"
    assert page.links() == []


@pytest.mark.parametrize("depth", [300, 2_000])
def test_deep_pages_are_read_to_their_end(make_page: MakePage, depth: int) -> None:
    """libxml2 stops at 256 levels by default, silently."""
    page = make_page("<div>" * depth + "<a href=deep>x</a>" + "</div>" * depth + "<a href=after>y</a>")
    assert page.links() == ["http://example.org/d/deep", "http://example.org/d/after"]


@pytest.mark.parametrize("depth", [20_000, 100_000])
def test_pages_that_nest_without_measure_are_read_or_refused_but_never_cut(make_page: MakePage, depth: int) -> None:
    """libxml2 would drop the rest without a word, lexbor would take 20 s. The other two have no bound."""
    page = make_page("<title>t</title>" + "<b>" * depth + "<a href=deep>x</a>" + "</b>" * depth + "<a href=after>y</a>")
    if page.parser_name in ("lxml", "lexbor"):
        with pytest.raises(NestingTooDeep, match=r"more than 2,048 deep.*html\.parser and bs4"):
            page.links()
    else:
        assert page.links() == ["http://example.org/d/deep", "http://example.org/d/after"]
        assert page.title == "t"


def test_many_flat_elements_are_not_deep(make_page: MakePage) -> None:
    page = make_page("<ul>" + "<li>x<p>y<br>" * 5_000 + "</ul><table>" + "<tr><td>" * 5_000 + "</table><a href=x>")
    assert page.links() == ["http://example.org/d/x"]


@pytest.mark.parametrize("unit", ["<a ", "<a href='", "<a b=\"'", "<!-", "<![", "</", "<a b=c ", "&#", "<!--", "<a/"])
def test_hostile_markup_takes_no_long_time(make_page: MakePage, unit: str) -> None:
    page = make_page(unit * 20_000)
    assert len(page.links()) <= 1
