"""Wherever a file is cut into chunks, it says the same; and no bytes whatever raise anything."""

import gzip
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scraper.sitemap import Entry, SitemapLimits, SitemapReader
from tests.sitemap import samples
from tests.sitemap.reading import read

LONG = {
    "urlset": samples.urlset(*(f"https://example.org/{n}?a=\u00e9&amp;b" for n in range(1_000))),
    "broken": samples.urlset(*(f"https://example.org/{n}" for n in range(1_000))) + b"<",
    "names": b"<urlset>" + b"".join(b"<url><loc>https://x.org/%d</loc></url><n%d/>" % (n, n) for n in range(2_000)),
    "long markup": samples.urlset("https://example.org/")[:-9] + b"<!--" + b"x" * 300_000 + b"--></urlset>",
    "long lines": b"https://example.org/1\nhttps://example.org/" + b"x" * 30_000 + b"\r\nhttps://example.org/2\r\n",
    "long blank": b"https://example.org/1\n" + b" " * 30_000 + b"https://example.org/2\nhttps://example.org/3",
    "text": "\r\n".join(f"https://example.org/{n}/\u65e5\u672c" for n in range(1_000)).encode(),
    "garbage in gzip": gzip.compress(samples.urlset(*(f"https://x.org/{n * n}" for n in range(9_000))))[:-9_000]
    + b"?" * 9_000,
    "members": b"".join(gzip.compress(b"https://example.org/%d\n" % n) for n in range(500)),
    "bomb": gzip.compress(b"https://example.org/\n" + b" " * 4_000_000),
    **{f"small {name}": text.encode() for name, text in samples.ALL.items()},
    **{f"small {name}, UTF-16": text.encode("utf-16") for name, text in samples.ALL.items()},
}
PACK: dict[str, Callable[[bytes], bytes]] = {"plain": bytes, "gzip": gzip.compress}

Outcome = tuple[list[Entry], object, object, object]


def outcome(chunks: Iterator[bytes]) -> Outcome:
    entries, reader = read(chunks)
    return entries, reader.form, reader.problem, reader.left_out


def cut(body: bytes, at: list[float]) -> Iterator[bytes]:
    places = sorted({int(share * len(body)) for share in at})
    for start, end in zip([0, *places], [*places, len(body)], strict=True):
        yield body[start:end]


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize("sample", LONG)
def test_any_split_gives_the_same(sample: str, packed: str) -> None:
    body = PACK[packed](LONG[sample])
    whole = outcome(iter([body]))
    assert whole[0] or whole[2] is not None

    @given(st.lists(st.floats(0, 1), max_size=12))
    @settings(max_examples=8, deadline=None, derandomize=True, database=None)
    def check(at: list[float]) -> None:
        assert outcome(cut(body, at)) == whole

    check()


@pytest.mark.parametrize("sample", samples.ALL)
def test_single_bytes_give_the_same(sample: str) -> None:
    body = gzip.compress(samples.ALL[sample].encode())
    assert outcome(bytes([byte]) for byte in body) == outcome(iter([body]))


MARKUP = st.lists(
    st.sampled_from(
        [
            *(
                b"<urlset>",
                b"</urlset>",
                b"<sitemapindex>",
                b"<url>",
                b"</url>",
                b"<loc>",
                b"</loc>",
                b"<sitemap>",
                b"</sitemap>",
            ),
            *(
                b"<rss>",
                b"<item>",
                b"</item>",
                b"<link>",
                b"</link>",
                b"<feed>",
                b"<entry>",
                b"<link href='https://x.org/'/>",
            ),
            *(
                b"<lastmod>",
                b"</lastmod>",
                b"2024-05-01",
                b"https://x.org/",
                b"&amp;",
                b"&x;",
                b"&#0;",
                b"&",
                b"<![CDATA[",
                b"]]>",
            ),
            *(
                b"<!--",
                b"-->",
                b"<?",
                b"?>",
                b"<!DOCTYPE a [",
                b"]>",
                b"<!ENTITY x 'y'>",
                b"\0",
                b"\xff",
                b"\n",
                b" ",
                b"<",
                b">",
            ),
            *(
                b"<?xml version='1.0' encoding='",
                b"utf-16",
                b"shift_jis",
                b"iso-2022-jp",
                b"utf-7",
                b"hex",
                b"'?>",
                b"\xff\xfe",
            ),
        ]
    )
    | st.binary(max_size=8),
    max_size=40,
).map(b"".join)


@given(
    body=st.binary(max_size=300) | MARKUP | MARKUP.map(lambda body: b"<urlset>" + body),
    is_packed=st.booleans(),
    flips=st.lists(st.integers(0, 300), max_size=2),
)
@settings(max_examples=600, deadline=None, derandomize=True)
def test_no_bytes_raise_and_little_comes_of_few(body: bytes, is_packed: bool, flips: list[int]) -> None:
    data = bytearray(gzip.compress(body, mtime=0) if is_packed else body)
    for place in flips:
        if place < len(data):
            data[place] ^= 0x55
    entries, reader = read(bytes(data), SitemapLimits(file_entries=20, text_chars=50))
    assert len(entries) <= 20
    assert all(0 < len(entry.loc) <= 50 for entry in entries)
    assert sum(reader.left_out.values()) <= 20 + len(data)
    assert reader.problem is None or reader.problem.detail


@given(st.sampled_from(sorted(samples.ALL)), st.data())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_damaged_file_gives_its_beginning(form: str, data: st.DataObject) -> None:
    body = samples.ALL[form].encode()
    end = data.draw(st.integers(0, len(body)))
    whole, _ = read(body)
    entries, _ = read(body[:end])
    assert len(entries) <= len(whole)
    if form != "text":  # whose last line may be cut in the middle
        assert entries == whole[: len(entries)]


def test_a_repr_says_what_it_is() -> None:
    reader = SitemapReader()
    assert repr(reader) == "<SitemapReader of unknown form, 0 entries, reading>"
    assert repr(read(samples.RSS.encode())[1]) == "<SitemapReader rss, 2 entries, closed>"
    assert repr(read(b"")[1]) == "<SitemapReader of unknown form, 0 entries, empty>"
