"""Files made to harm, or broken on their way: what came before is kept, the rest has a reason."""

import gzip
import tracemalloc
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from scraper.sitemap import STEP_BYTES, SitemapLimits, SitemapReader
from tests.sitemap import samples
from tests.sitemap.reading import locs, problem, read

PAGE = "https://example.org/"
ONE = b"<url><loc>https://example.org/</loc></url>"


def peak_bytes(chunks: Iterable[bytes], limits: SitemapLimits | None = None) -> tuple[int, int, SitemapReader]:
    """The most that reading held at once beyond its chunks, and how many entries it gave."""
    reader = SitemapReader(limits)
    entries = 0
    tracemalloc.start()
    try:
        for chunk in chunks:
            entries += sum(map(len, reader.feed(chunk)))
        entries += sum(map(len, reader.close()))
        return tracemalloc.get_traced_memory()[1], entries, reader
    finally:
        tracemalloc.stop()


BOMBS = {
    "laughs": '<!DOCTYPE urlset [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;">]>',
    "quadratic": f'<!DOCTYPE urlset [<!ENTITY a "{"x" * 50_000}">]>',
    "parameter": "<!DOCTYPE urlset [<!ENTITY % a \"<!ENTITY c 'x'>\"> %a;]>",
    "external": '<!DOCTYPE urlset [<!ENTITY c SYSTEM "{secret}">]>',
    "external parameter": '<!DOCTYPE urlset [<!ENTITY % a SYSTEM "{secret}"> %a;]>',
    "default attributes": '<!DOCTYPE urlset [<!ATTLIST url a CDATA "x">]>',
    "content model": "<!DOCTYPE urlset [<!ELEMENT url " + "(" * 50_000 + "]>",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_nothing_that_is_declared_is_expanded_or_read(bomb: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("https://example.org/secret")
    body = BOMBS[bomb].replace("{secret}", secret.as_uri()) + "<urlset><url><loc>&c;</loc></url></urlset>"
    entries, reader = read(body.encode())
    assert entries == []
    assert reader.problem is not None
    assert reader.problem.reason == "declarations"


def test_an_external_dtd_is_not_read_and_its_entities_spoil_an_address(tmp_path: Path) -> None:
    dtd = tmp_path / "x.dtd"
    dtd.write_text('<!ENTITY c "https://example.org/secret">')
    body = f'<!DOCTYPE urlset SYSTEM "{dtd.as_uri()}"><urlset><url><loc>{PAGE}&c;</loc></url>{ONE.decode()}</urlset>'
    entries, reader = read(body.encode())
    assert [entry.loc for entry in entries] == [PAGE]
    assert reader.left_out == {"undecodable": 1}


def test_an_entity_that_nothing_declares_ends_the_file() -> None:
    body = b"<urlset>" + ONE + b"<url><loc>https://example.org/&nbsp;</loc></url></urlset>"
    assert locs(body) == [PAGE]
    assert problem(body) == "broken_xml"


BROKEN = {
    "an ampersand": b"<url><loc>https://example.org/?a=1&b=2</loc></url></urlset>",
    "a wrong end tag": b"<url><loc>https://example.org/x</url></urlset>",
    "a control character": b"<url><loc>https://example.org/\x0b</loc></url></urlset>",
    "a NUL": b"\0</urlset>",
    "behind the end": b"</urlset><urlset>",
}


@pytest.mark.parametrize("end", BROKEN)
def test_broken_xml_gives_what_came_before(end: str) -> None:
    entries, reader = read(b"<urlset>" + ONE + BROKEN[end])
    assert [entry.loc for entry in entries] == [PAGE]
    assert reader.problem is not None
    assert reader.problem.reason == "broken_xml"
    assert "line 1, column" in reader.problem.detail


@pytest.mark.parametrize("end", [b"", b"<url>", b"<url><loc>https://example.org/x", b"<url><loc", b"<!-- "])
def test_a_cut_file_gives_its_whole_entries(end: bytes) -> None:
    assert locs(b"<urlset>" + ONE + end) == [PAGE]
    assert problem(b"<urlset>" + ONE + end) == "truncated"


def test_cut_gzip_gives_what_came_before_and_no_half_address() -> None:
    lines = "\n".join(f"https://example.org/{n * n}" for n in range(5_000)).encode()
    packed = gzip.compress(lines)
    entries, reader = read(packed[: len(packed) // 2])
    assert 100 < len(entries) < 5_000
    assert {entry.loc for entry in entries} <= set(lines.decode().split("\n"))
    assert reader.problem is not None
    assert reader.problem.reason == "truncated"


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><html><body>Not found</body></html>",
        b"\n<!doctype HTML>\n<title>Not found",
        b"<!-- cached --><!doctype html><html>",
        b"<html><p>unclosed<br></html>",
        b"<HTML><BODY>",
        b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body/></html>',
        b'<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/x.dtd"><html/>',
    ],
)
def test_a_page_is_reported_as_such(body: bytes) -> None:
    assert locs(body) == []
    assert problem(body) == "html"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b" \n\t ", "empty"),
        (gzip.compress(b""), "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_a_sitemap"),
        (b'{"urls": ["https://example.org/"]}', "not_a_sitemap"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 100, "not_a_sitemap"),
        (b"Not found", "not_a_sitemap"),
        (b"\x1c\x1d", "not_a_sitemap"),
        (b"\0" * 100_000, "not_a_sitemap"),
        (b"<", "truncated"),
        (b"<<<", "broken_xml"),
        (b"\x1f\x8b", "truncated"),
        (b"\x1f\x8bgarbage", "bad_gzip"),
        (gzip.compress(gzip.compress(samples.urlset(PAGE))), "not_a_sitemap"),
    ],
)
def test_what_is_no_sitemap(body: bytes, reason: str) -> None:
    assert locs(body) == []
    assert problem(body) == reason


def test_a_gzip_bomb_is_stopped_by_its_ratio() -> None:
    packed = gzip.compress(b"<urlset>" + b" " * 20_000_000)
    peak, _, reader = peak_bytes([packed])
    assert reader.problem is not None
    assert reader.problem.reason == "gzip_bomb"
    assert peak < 1_000_000


def test_a_bomb_of_gzip_members_is_stopped() -> None:
    assert problem(gzip.compress(b"") * 1_001) == "bad_gzip"
    assert problem(gzip.compress(b"") * 999 + gzip.compress(samples.urlset(PAGE))) is None


def test_the_cap_on_bytes_counts_unpacked_ones() -> None:
    lines = b"".join(b"https://example.org/%d\n" % (n * n) for n in range(10_000))
    limits = SitemapLimits(file_bytes=100_000)
    for body in (lines, gzip.compress(lines)):
        entries, reader = read(body, limits)
        assert 2_000 < len(entries) < 5_000
        assert reader.problem is not None
        assert reader.problem.reason == "too_large"
    assert problem(lines, SitemapLimits(file_bytes=len(lines))) is None
    assert problem(lines, SitemapLimits(file_bytes=len(lines) - 1)) == "too_large"


def test_members_are_read_on_and_what_follows_them_is_ignored() -> None:
    body = samples.urlset(PAGE)
    packed = gzip.compress(body[:20]) + gzip.compress(body[20:])
    for end in (b"", b"\0" * 512, b"a signature", b"\0" * 20_000 + gzip.compress(b"<")):
        assert locs(packed + end) == [PAGE]
        assert problem(packed + end) is None
    assert problem(packed + b"\x1f\x8bgarbage") == "bad_gzip"


def test_what_fits_in_no_more_than_a_step_of_output_is_not_forgotten() -> None:
    """zlib may have taken all input when its output buffer is full."""
    for spare in range(40):
        packer = zlib.compressobj(9, wbits=31)
        text = samples.urlset(*[PAGE] * 2_000)[: STEP_BYTES * 2 - spare]
        assert len(locs(packer.compress(text) + packer.flush())) == text.count(b"</url>")


def test_the_cap_on_entries() -> None:
    limits = SitemapLimits(file_entries=3)
    for body in (samples.urlset(*[PAGE] * 3), b"https://example.org/\n" * 3):
        assert len(locs(body, limits)) == 3
        assert problem(body, limits) is None
    for body in (samples.urlset(*[PAGE] * 4), b"https://example.org/\n" * 4, samples.urlset(*[PAGE] * 3, "")):
        assert len(locs(body, limits)) == 3
        assert problem(body, limits) == "too_many_entries"


def test_the_cap_on_depth() -> None:
    def nested(depth: int) -> bytes:
        """Elements as deep as that, the root included."""
        return b"<urlset>" + ONE + b"<url>" + b"<a>" * (depth - 2) + b"</a>" * (depth - 2) + b"</url></urlset>"

    limits = SitemapLimits(xml_depth=10)
    assert problem(nested(10), limits) is None
    assert problem(nested(11), limits) == "too_deep"
    assert locs(nested(1_000_000), limits) == [PAGE]


def test_the_cap_on_names() -> None:
    """expat keeps each for as long as it lives."""

    def named(count: int, text: str) -> bytes:
        return b"<urlset>" + ONE + "".join(text % n for n in range(count)).encode() + b"</urlset>"

    long_name = "n" * 10_000
    for text in ("<n%06d/>", "<a n%06d=''/>", f"<{long_name}%d/>"):
        count = 16_000 // len(text % 0)
        assert problem(named(count, text)) is None
        assert problem(named(count * 3, text)) == "too_many_names"
        assert locs(named(count * 3, text)) == [PAGE]
        peak, _, _ = peak_bytes([named(count * 100, text)])
        assert peak < 4_000_000


@pytest.mark.parametrize(
    "opening", [b"<x a='", b"<x ", b"<x", b"<!--", b"<?x ", b"</", b"<!DOCTYPE x '", b"<![CDATA[", b"<url><loc>"]
)
def test_markup_without_end_is_stopped_and_text_is_not_kept(opening: bytes) -> None:
    """expat before 2.6 reads such a tag from its start with each new piece: time grows with the square."""
    prologue = b"" if opening.startswith(b"<!D") else b"<urlset>"

    def chunks() -> Iterator[bytes]:
        yield prologue + opening
        for _ in range(100):
            yield b"a" * 100_000

    peak, entries, reader = peak_bytes(chunks())
    is_text = opening in (b"<![CDATA[", b"<url><loc>")
    assert reader.problem is not None
    assert reader.problem.reason == ("truncated" if is_text else "markup_too_long")
    assert entries == 0
    assert peak < 2_000_000


def test_markup_of_a_hundred_kilobytes_passes() -> None:
    comment = b"<!--" + b"x" * 100_000 + b"-->"
    assert locs(b"<urlset>" + comment + ONE + b"</urlset>") == [PAGE]


@pytest.mark.parametrize("kilobytes", [1, 40, 100])
def test_long_markup_adds_up_to_nothing(kilobytes: int) -> None:
    comment = b"<!--" + b"x" * 1_000 * kilobytes + b"-->"
    body = b"<urlset>" + (ONE + comment) * (1_000 // kilobytes) + b"</urlset>"
    assert problem(body) is None
    assert len(locs(body)) == 1_000 // kilobytes


def test_a_line_without_end_is_not_kept() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"https://example.org/1\nhttps://example.org/"
        for _ in range(100):
            yield b"a" * 100_000
        yield b"\nhttps://example.org/2"

    peak, entries, reader = peak_bytes(chunks())
    assert entries == 2
    assert reader.left_out == {"loc_too_long": 1}
    assert peak < 1_000_000


@pytest.mark.parametrize("form", ["xml", "text"])
def test_memory_does_not_grow_with_the_number_of_entries(form: str) -> None:
    def chunks(count: int) -> Iterator[bytes]:
        yield b"<urlset>" if form == "xml" else b""
        line = b"<url><loc>https://example.org/%d</loc></url>" if form == "xml" else b"https://example.org/%d\n"
        for start in range(0, count, 100):
            yield b"".join(line % n for n in range(start, start + 100))
        yield b"</urlset>" if form == "xml" else b""

    few, given, _ = peak_bytes(chunks(3_000))
    assert given == 3_000
    many, given, reader = peak_bytes(chunks(51_000))
    assert given == 51_000  # more than the 50,000 that the protocol allows
    assert reader.problem is None
    assert many < few + 50_000


def test_after_its_end_a_reader_gives_nothing_more() -> None:
    reader = SitemapReader()
    assert [entries for entries in reader.feed(b"Not found".ljust(STEP_BYTES * 4)) if entries] == []
    assert reader.problem is not None
    assert list(reader.feed(samples.urlset(PAGE).ljust(STEP_BYTES))) == []
    assert list(reader.close()) == []
    assert list(reader.close()) == []
    assert reader.problem.reason == "not_a_sitemap"
