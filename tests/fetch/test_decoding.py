"""Content codings undone piece by piece, in bounded steps, to the last byte or not at all."""

import gzip
import sys
import zlib
from collections.abc import Callable, Iterable

import brotli
import pytest

from scraper.fetch.decoding import ACCEPT_ENCODING, MAX_CODINGS, MAX_STREAMS, STEP_BYTES, Decoder
from scraper.fetch.refused import Refused

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Text that packs, and does not pack to nothing.
PAGE = b"".join(b"<p>%d squared is %d</p>\n" % (n, n * n) for n in range(9_000))
CAP = 1_000_000


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def br(data: bytes) -> bytes:
    packed: bytes = brotli.compress(data, quality=3)  # the default quality takes seconds
    return packed


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": br,
    "zstd": zstd.compress,
}
every_coding = pytest.mark.parametrize("coding", PACK)


def unpack(content_encoding: str, chunks: Iterable[bytes], cap: int = CAP) -> bytes:
    decoder = Decoder(content_encoding, cap)
    body = b"".join(piece for chunk in chunks for piece in decoder.unpack(chunk))
    decoder.finish()
    return body


def reason_of(content_encoding: str, *chunks: bytes, cap: int = CAP) -> str:
    with pytest.raises(Refused) as caught:
        unpack(content_encoding, chunks, cap)
    return caught.value.reason


@every_coding
@pytest.mark.parametrize("size", [1, 7, 4_096, 10**9])
def test_a_body_comes_back_however_it_was_cut(coding: str, size: int) -> None:
    page = PAGE[:3_000] if size == 1 else PAGE
    packed = PACK[coding](page)
    assert unpack(coding, (packed[at : at + size] for at in range(0, len(packed), size))) == page


@every_coding
def test_an_empty_document_comes_back(coding: str) -> None:
    assert unpack(coding, [PACK[coding](b"")]) == b""


@pytest.mark.parametrize("size", [1, 2, 10**9])
def test_deflate_may_come_without_its_zlib_header(size: int) -> None:
    """Servers have long disagreed about what "deflate" means; browsers take both."""
    packed = raw_deflate(PAGE[:500])
    assert unpack("deflate", (packed[at : at + size] for at in range(0, len(packed), size))) == PAGE[:500]


@pytest.mark.parametrize("pack", [*PACK.values(), raw_deflate])
def test_every_truncation_is_found(pack: Callable[[bytes], bytes]) -> None:
    """Half a page must not pass for a page."""
    coding = next((name for name, known in PACK.items() if known is pack), "deflate")
    packed = pack(PAGE[:400])
    for length in range(1, len(packed)):
        assert reason_of(coding, packed[:length]) == "truncated_encoding", length


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "br", "zstd"])
def test_bytes_that_are_not_packed_are_garbage(coding: str) -> None:
    assert reason_of(coding, b"<!doctype html><title>not packed at all</title>") == "bad_encoding"


def test_bytes_that_are_no_deflate_are_garbage() -> None:
    assert reason_of("deflate", b"\x07\xff\xff\xff") == "bad_encoding"


def test_a_wrong_checksum_is_garbage() -> None:
    packed = bytearray(gzip.compress(PAGE))
    packed[-6] ^= 1
    assert reason_of("gzip", bytes(packed)) == "bad_encoding"


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("size", [1, 3, 10**9])
def test_streams_one_behind_the_other_are_one_body(coding: str, size: int) -> None:
    packed = PACK[coding](PAGE[:900]) + PACK[coding](b"") + PACK[coding](PAGE[900:1800])
    assert unpack(coding, (packed[at : at + size] for at in range(0, len(packed), size))) == PAGE[:1800]


def test_a_skippable_zstandard_frame_is_skipped() -> None:
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"note"
    assert unpack("zstd", [skippable + zstd.compress(PAGE) + skippable]) == PAGE


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
@pytest.mark.parametrize("rest", [b"\0", b"\0" * 512, b"</html>", b"\x1f", b"\x28\xb5\x2f"])
def test_bytes_behind_the_end_are_ignored(coding: str, rest: bytes) -> None:
    """As browsers do: padding, and what a server's own page footer adds behind a packed page."""
    assert unpack(coding, [PACK[coding](PAGE), rest, rest]) == PAGE
    assert unpack(coding, [PACK[coding](PAGE) + rest]) == PAGE


def test_a_second_stream_that_is_cut_is_truncated() -> None:
    assert reason_of("gzip", gzip.compress(PAGE) + gzip.compress(PAGE)[:30]) == "truncated_encoding"


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_the_number_of_streams_is_bounded(coding: str) -> None:
    """Each costs a decoder, also when it holds nothing: the size of the body bounds them too late."""
    assert unpack(coding, [PACK[coding](b"") * MAX_STREAMS]) == b""
    assert reason_of(coding, PACK[coding](b"") * (MAX_STREAMS + 1)) == "bad_encoding"


@every_coding
def test_the_cap_is_exact(coding: str) -> None:
    packed = PACK[coding](PAGE)
    assert unpack(coding, [packed], cap=len(PAGE)) == PAGE
    assert reason_of(coding, packed, cap=len(PAGE) - 1) == "body_too_large"


@every_coding
def test_a_bomb_is_stopped_near_the_cap(coding: str) -> None:
    """No step gives much more than 64 KB, so what is ever held is the cap and one step."""
    bomb = PACK[coding](bytes(50_000_000))
    assert len(bomb) < 60_000
    decoder = Decoder(coding, CAP)
    sizes: list[int] = []
    with pytest.raises(Refused) as caught:
        sizes.extend(len(piece) for piece in decoder.unpack(bomb))
    assert caught.value.reason == "body_too_large"
    assert sum(sizes) <= CAP
    assert max(sizes) <= 2 * STEP_BYTES


def test_stacked_codings_are_undone_from_the_last() -> None:
    assert unpack("deflate, gzip,br", [br(gzip.compress(zlib.compress(PAGE)))]) == PAGE


def test_a_bomb_inside_is_capped_where_it_unpacks() -> None:
    """Only its outer coding grows; what comes out in the end would be small."""
    inner = gzip.compress(b"") + bytes(50_000_000)  # an empty page, and padding that is ignored
    assert reason_of("gzip, br", br(inner)) == "body_too_large"


def test_too_many_stacked_codings_are_refused() -> None:
    Decoder(", ".join(["gzip"] * MAX_CODINGS), CAP)
    assert reason_of(", ".join(["gzip"] * (MAX_CODINGS + 1))) == "unknown_encoding"


@pytest.mark.parametrize("value", ["rot13", "gzip, rot13", "compress", "utf-8", "gzip;q=1"])
def test_an_unknown_coding_is_refused_before_anything_is_read(value: str) -> None:
    with pytest.raises(Refused) as caught:
        Decoder(value, CAP)
    assert caught.value.reason == "unknown_encoding"


@pytest.mark.parametrize("value", ["", "identity", " Identity , ", "identity, identity"])
def test_identity_is_no_coding(value: str) -> None:
    assert Decoder(value, CAP).is_identity
    assert unpack(value, [b"as", b"is"]) == b"asis"


def test_names_of_codings_know_no_case() -> None:
    assert unpack(" GZip ", [gzip.compress(PAGE)]) == PAGE


def test_a_zstandard_window_beyond_what_the_web_allows_is_refused() -> None:
    """A frame may ask for gigabytes of window before it gives a single byte: RFC 9659 allows 8 MB."""
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    packer = zstd.ZstdCompressor(options=options)
    assert reason_of("zstd", packer.compress(PAGE) + packer.flush()) == "bad_encoding"


def test_what_is_asked_for_can_be_unpacked() -> None:
    for name in ACCEPT_ENCODING.split(", "):
        assert not Decoder(name, CAP).is_identity
