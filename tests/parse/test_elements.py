"""Selectors and elements, the same on the three parsers that have them."""

from __future__ import annotations

import pytest

from scraper.errors import SelectorUnsupported
from scraper.parse.page import Page

from .conftest import MakePage

MARKUP = """<html><body class="Top wide">
<div id=outer class="box"><p class=a>1 <b>bold</b></p><section><p class="a b">2</p><p>3</p></section><p>4</p></div>
<ul><li>x</li><li><a href="u?a=1&amp;b" DATA-X=y hidden>go</a></li></ul>
<table class=prices><tr><th>tea</th><td>2</td></tr><tr><th>milk</th><td>1</td></tr></table>
</body></html>"""


@pytest.fixture
def page(make_selectable: MakePage) -> Page:
    return make_selectable(MARKUP)


def texts(page: Page, selector: str) -> list[str]:
    return [element.text for element in page.css(selector)]


SELECTORS = {
    "p": ["1 bold", "2", "3", "4"],
    "p.a": ["1 bold", "2"],
    "p.a.b": ["2"],
    "#outer > p": ["1 bold", "4"],
    "div p:not(.a)": ["3", "4"],
    "section > p + p": ["3"],
    "section ~ p": ["4"],
    "p.a, li": ["1 bold", "2", "x", "go"],
    "li:nth-child(2) a[href]": ["go"],
    "a[href^='u'][data-x=y]": ["go"],
    "a[href*='b'], a[href$='zz']": ["go"],
    "html body ul > li:first-child": ["x"],
    "table.prices tr th": ["tea", "milk"],
    "tr:last-child td": ["1"],
    "p:has(b)": ["1 bold"],
    "P.a > B": ["bold"],
    "video": [],
}


@pytest.mark.parametrize(("selector", "expected"), SELECTORS.items())
def test_selectors_find_the_same_everywhere(page: Page, selector: str, expected: list[str]) -> None:
    assert texts(page, selector) == expected
    first = page.css_first(selector)
    assert (first.text if first is not None else None) == (expected[0] if expected else None)


def test_the_root_can_be_selected(page: Page) -> None:
    assert [element.css_first("body") is not None for element in page.css("html")] == [True]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("p", ["1 bold", "2", "3", "4"]),
        ("div", []),
        ("div p.a", ["1 bold", "2"]),
        ("body > div > p", ["1 bold", "4"]),
        (".box p, li", ["1 bold", "2", "3", "4"]),
    ],
)
def test_an_element_selects_among_its_descendants_and_sees_the_whole_page(
    page: Page, selector: str, expected: list[str]
) -> None:
    """As `querySelectorAll`: never the element itself, but what stands above it counts for the match."""
    outer = page.css_first("#outer")
    assert outer is not None
    assert [element.text for element in outer.css(selector)] == expected
    first = outer.css_first(selector)
    assert (first.text if first is not None else None) == (expected[0] if expected else None)


def test_rows_of_a_table(page: Page) -> None:
    rows = []
    for row in page.css("table.prices tr"):
        name, price = row.css_first("th"), row.css_first("td")
        assert name is not None
        assert price is not None
        rows.append((name.text, price.text))
    assert rows == [("tea", "2"), ("milk", "1")]


def test_attributes(page: Page) -> None:
    link = page.css_first("a")
    assert link is not None
    assert link.attr("href") == "u?a=1&b"
    assert link.attr("HREF") == "u?a=1&b"
    assert link.attr("hidden") == ""
    assert link.attr("title") is None
    assert link.attrs == {"href": "u?a=1&b", "data-x": "y", "hidden": ""}


def test_a_list_of_classes_is_text(page: Page) -> None:
    body = page.css_first("body")
    assert body is not None
    assert body.attr("class") == "Top wide"


def test_html_is_the_element_alone(page: Page) -> None:
    cell = page.css_first("p.a")
    assert cell is not None
    assert cell.html in ('<p class="a">1 <b>bold</b></p>', "<p class=a>1 <b>bold</b></p>")


TEXTS = {
    "<div>a<script>no</script>b<style>no</style><!-- no -->c</div>": "abc",
    "<div> a \n <p>b</p>\t&nbsp;<p>c</p> </div>": "a b c",
    "<div><p>a</p><p>b</p></div>": "ab",
    "<div><ruby>k<rp>(</rp><rt>r</rt><rp>)</rp></ruby></div>": "k(r)",
    "<div><textarea>&lt;x></textarea></div>": "<x>",
    "<div>a<template>no</template>b</div>": "ab",
    "<div></div>": "",
    "<div><br></div>": "",
    "<div><!-- a --></div>": "",
    "<div>a<svg><title>t</title></svg></div>": "at",
}


@pytest.mark.parametrize(("markup", "text"), TEXTS.items())
def test_text_is_that_of_all_descendants_but_scripts_and_styles(
    make_selectable: MakePage, markup: str, text: str
) -> None:
    element = make_selectable(markup).css_first("div")
    assert element is not None
    assert element.text == text


def test_a_script_has_its_own_text(make_selectable: MakePage) -> None:
    """Otherwise structured data would be out of reach."""
    page = make_selectable('<script type="application/ld+json">{"a": "<b>"}</script>')
    script = page.css_first('script[type="application/ld+json"]')
    assert script is not None
    assert script.text == '{"a": "<b>"}'


@pytest.mark.parametrize("selector", ["a[", "", "a:nonesuch", "a,", "p::text", "!"])
def test_a_selector_that_makes_no_sense_is_refused_by_name(page: Page, selector: str) -> None:
    for select in (page.css, page.css_first):
        with pytest.raises(SelectorUnsupported, match="does not understand"):
            select(selector)
    body = page.css_first("body")
    assert body is not None
    with pytest.raises(SelectorUnsupported, match="does not understand"):
        body.css_first(selector)


def test_elements_show_what_they_are(page: Page) -> None:
    assert all(repr(element).endswith("Element p>") for element in page.css("p"))


def test_xpath_on_lxml() -> None:
    page = Page.from_bytes(MARKUP.encode(), url="http://example.org/")
    (row,) = page.xpath("//tr[th='milk']")
    assert row.css_first("td").text == "1"
    assert page.xpath("//tr/th/text()") == ["tea", "milk"]
    assert {type(text) for text in page.xpath("//tr/th/text()")} == {str}
    assert page.xpath("count(//tr)") == 2
    assert page.xpath("string(//th)") == "tea"
    assert page.xpath("//b = 'bold'") is True
    with pytest.raises(SelectorUnsupported, match="lxml does not understand '//'"):
        page.xpath("//")
    with pytest.raises(SelectorUnsupported, match="does not understand"):
        page.xpath("//x:y")


@pytest.mark.parametrize("parser", ["lexbor", "bs4", "html.parser"])
def test_without_xpath_the_parser_that_has_it_is_named(parser: str) -> None:
    page = Page.from_bytes(b"", url="http://example.org/", parser=parser)  # type: ignore[arg-type]
    with pytest.raises(SelectorUnsupported, match=f"{parser} has no XPath: lxml has it"):
        page.xpath("//a")


def test_without_selectors_the_parsers_that_have_them_are_named() -> None:
    page = Page.from_bytes(b"", url="http://example.org/", parser="html.parser")
    for select in (page.css, page.css_first, lambda selector: list(page.follow(selector))):
        with pytest.raises(SelectorUnsupported, match="no CSS selectors: lxml, lexbor and bs4 have them"):
            select("a")


def test_scope_is_refused_where_it_would_be_misread() -> None:
    page = Page.from_bytes(b"<p><a>", url="http://example.org/")
    with pytest.raises(SelectorUnsupported, match="scope"):
        page.css(":scope > a")
