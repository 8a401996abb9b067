"""Every form, as it should be and as it often is."""

import codecs
import gzip
from datetime import UTC, datetime, timedelta, timezone

import pytest

from scraper.errors import InvalidOption
from scraper.sitemap import Entry, Form, SitemapLimits, SitemapReader
from tests.sitemap import samples
from tests.sitemap.reading import locs, problem, read

EXPECTED = {
    "urlset": [
        Entry("https://example.org/", datetime(2024, 5, 1, tzinfo=UTC), Form.URLSET),
        Entry(
            "https://example.org/catalogue?item=12&desc=caf\u00e9",
            datetime(2024, 5, 1, 8, 30, tzinfo=UTC),
            Form.URLSET,
        ),
        Entry("https://example.org/a?b=1&c=2", None, Form.URLSET),
    ],
    "sitemapindex": [
        Entry("https://example.org/sitemap-1.xml.gz", datetime(2024, 5, 1, 10, 30, tzinfo=UTC), Form.INDEX),
        Entry("https://example.org/sitemap-2.xml.gz", None, Form.INDEX),
    ],
    "rss": [
        Entry("https://example.org/news/1", datetime(2002, 10, 2, 13, tzinfo=UTC), Form.RSS),
        Entry("https://example.org/news/2", datetime(2002, 10, 3, tzinfo=UTC), Form.RSS),
    ],
    "atom": [
        Entry("https://example.org/1", datetime(2003, 12, 13, 17, 30, 2, 250_000, tzinfo=UTC), Form.ATOM),
        Entry("https://example.org/2", datetime(2003, 12, 2, tzinfo=UTC), Form.ATOM),
    ],
    "text": [Entry(f"https://example.org/{n}", None, Form.TEXT) for n in (1, 2, 3)],
}

every_form = pytest.mark.parametrize("form", samples.ALL)


@every_form
@pytest.mark.parametrize("is_packed", [False, True])
def test_every_form_plain_and_packed(form: str, is_packed: bool) -> None:
    body = samples.ALL[form].encode()
    entries, reader = read(gzip.compress(body) if is_packed else body)
    assert entries == EXPECTED[form]
    assert reader.form == form
    assert reader.problem is None
    assert reader.left_out == {}
    assert all(entry.is_index == (form == "sitemapindex") for entry in entries)
    assert all(entry.lastmod is None or entry.lastmod.utcoffset() is not None for entry in entries)


@every_form
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (b"\n \t\r\n", "utf-8"),
        (codecs.BOM_UTF8 + b"\r\n", "utf-8"),
    ],
)
def test_marks_of_byte_order_utf_16_and_white_space_at_the_beginning(form: str, mark: bytes, encoding: str) -> None:
    """The XML declarations say UTF-8 all the while."""
    entries, reader = read(mark + samples.ALL[form].encode(encoding))
    assert entries == EXPECTED[form]
    assert reader.problem is None


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_the_mark_that_it_must_have(encoding: str) -> None:
    assert read(samples.URLSET.encode(encoding))[0] == EXPECTED["urlset"]


@pytest.mark.parametrize("encoding", ["iso-8859-1", "windows-1252", "shift_jis", "gbk", "euc-jp", "koi8-r"])
def test_the_encoding_that_the_declaration_names(encoding: str) -> None:
    """Of which expat itself takes the first two."""
    letter = {"koi8-r": "\u0436", "iso-8859-1": "\u00e9", "windows-1252": "\u00e9"}.get(encoding, "\u65e5")
    address = f"https://example.org/{letter}"
    body = f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + samples.urlset(address).decode().encode(encoding)
    assert locs(body) == [address]


def test_an_unknown_encoding_is_read_as_utf_8() -> None:
    body = b'<?xml version="1.0" encoding="klingon"?>' + samples.urlset("https://example.org/\u00e9")
    assert locs(body) == ["https://example.org/\u00e9"]


@pytest.mark.parametrize(
    "opening",
    [
        "<urlset>",
        '<urlset xmlns="https://www.google.com/schemas/sitemap/0.84">',
        '<urlset xmlns="HTTP://WRONG EXAMPLE/">',
        '<urlset xsi:schemaLocation="undeclared prefix">',
        '<!DOCTYPE urlset SYSTEM "https://example.org/not-fetched.dtd"><urlset>',
    ],
)
def test_wrong_namespaces_and_none(opening: str) -> None:
    body = f"{opening}<url><loc>https://example.org/</loc></url></urlset>"
    assert locs(body.encode()) == ["https://example.org/"]
    assert problem(body.encode()) is None


def test_names_with_a_prefix_and_in_upper_case() -> None:
    prefixed = b"<s:urlset xmlns:s='x'><s:url><s:loc>https://example.org/</s:loc></s:url></s:urlset>"
    assert locs(prefixed) == ["https://example.org/"]
    assert locs(prefixed.upper()) == ["HTTPS://EXAMPLE.ORG/"]


def test_an_address_of_another_vocabulary_is_none() -> None:
    body = b"<urlset><url><image:loc>https://example.org/i</image:loc><loc>https://example.org/p</loc></url></urlset>"
    assert locs(body) == ["https://example.org/p"]


def test_the_entry_says_whether_it_is_a_file_and_not_the_root() -> None:
    body = b"<urlset><sitemap><loc>https://example.org/s.xml</loc></sitemap><url><loc>https://example.org/</loc></url></urlset>"
    assert [entry.is_index for entry in read(body)[0]] == [True, False]


def test_markup_inside_of_an_address_adds_its_text() -> None:
    assert locs(b"<urlset><url><loc>https://example.org/<b>x</b><!-- - -->y</loc></url></urlset>") == [
        "https://example.org/xy"
    ]


def test_rss_1_0() -> None:
    body = b"<rdf:RDF><channel><link>https://example.org/</link></channel><item><link>https://example.org/1</link></item></rdf:RDF>"
    assert [(entry.loc, entry.form) for entry in read(body)[0]] == [("https://example.org/1", Form.RSS)]


def test_what_is_left_out_of_xml_is_counted() -> None:
    body = (
        b"<urlset><url/><url><loc> </loc></url><url><lastmod>2024</lastmod></url>"
        b"<url><loc>https://example.org/1</loc><loc>https://example.org/2</loc><lastmod>yesterday</lastmod></url>"
        b"<url><loc>https://example.org/" + b"x" * 8_192 + b"</loc></url>"
        b"<url/><url><loc>https://example.org/\xff</loc></url><url><loc>https://example.org/3</loc></url></urlset>"
    )
    entries, reader = read(body)
    assert entries == [
        Entry("https://example.org/1", None, Form.URLSET),
        Entry("https://example.org/3", None, Form.URLSET),
    ]
    assert reader.left_out == {"no_loc": 4, "extra_loc": 1, "bad_lastmod": 1, "loc_too_long": 1, "undecodable": 1}
    assert reader.problem is None


def test_what_is_left_out_of_text_is_counted() -> None:
    lines = [
        "https://example.org/1",
        "ftp://example.org/",
        "# a remark",
        " " * 9_000,
        "https://example.org/" + "x" * 9_000,
    ]
    body = "\n".join([*lines, "HTTP://example.org/2", "https://example.org/\ufffd"])
    entries, reader = read(body.encode())
    assert [entry.loc for entry in entries] == ["https://example.org/1", "HTTP://example.org/2"]
    assert reader.left_out == {"not_a_url": 2, "loc_too_long": 2, "undecodable": 1}


def test_an_address_may_be_as_long_as_a_url() -> None:
    limits = SitemapLimits(text_chars=30)
    fits, exceeds = "https://example.org/" + "x" * 10, "https://example.org/" + "x" * 11
    assert locs(samples.urlset(fits, exceeds), limits) == [fits]
    assert locs(f"{fits}\n{exceeds}".encode(), limits) == [fits]


def test_since_keeps_what_may_have_changed() -> None:
    """A day counts up to its end in the last of all zones, and an unknown date always."""
    dates = ["2024-04-30T11:59:59Z", "2024-04-30", "2024-05-01", "2024-05-02T13:00:00Z", "2024", "2024-05", "", "?"]
    listed = "".join(
        f"<url><loc>https://example.org/{n}</loc><lastmod>{date}</lastmod></url>" for n, date in enumerate(dates)
    )
    since = datetime(2024, 5, 2, 12, tzinfo=timezone(timedelta(hours=-1)))
    entries, reader = read(f"<urlset>{listed}</urlset>".encode(), since=since)
    assert [dates[int(entry.loc[-1])] for entry in entries] == dates[3:]
    assert reader.left_out == {"older": 3, "bad_lastmod": 1}


def test_since_needs_a_zone() -> None:
    with pytest.raises(InvalidOption, match="time zone"):
        SitemapReader(since=datetime(2024, 5, 1))  # noqa: DTZ001 - which is what is refused


@pytest.mark.parametrize("field", ["file_bytes", "ratio", "file_entries", "xml_depth", "text_chars", "files", "urls"])
def test_bounds_are_above_zero(field: str) -> None:
    with pytest.raises(InvalidOption, match=field):
        SitemapLimits(**{field: 0})
