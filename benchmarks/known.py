"""Functions whose nature is known, each of which does work in proportion to its page.

Two kinds of knowledge: by construction (so much of its time in Python, the rest in C that lets the GIL go), and by
what a library is known to do, with the share of CPU time that holds the GIL from long measurements
(`python -m benchmarks.probe_matrix --reference`).

Each function takes the bytes of a page, and can be named to a worker: `benchmarks.known:zlib_deflate`.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from scraper.offload.costs import Kind

# A page of 100 KB keeps a constructed function busy for five milliseconds, as html.parser does for twelve.
_S_PER_BYTE = 5e-8

_local = threading.local()


def _page_s(body: bytes) -> float:
    return max(len(body), 2_000) * _S_PER_BYTE


def _python(cpu_s: float) -> None:
    """Python for so much CPU time of this thread."""
    ends_s = time.thread_time() + cpu_s
    while time.thread_time() < ends_s:
        pass


def _released(cpu_s: float) -> None:
    """C without the GIL for so much CPU time of this thread."""
    hashlib.pbkdf2_hmac("sha256", b"known", b"salt", max(1, round(cpu_s * _per_s())))


def _per_s() -> float:
    """How many rounds PBKDF2 does in a second here, by this thread's clock."""
    if not hasattr(_local, "per_s"):
        took_s = []
        for _ in range(5):
            started_s = time.thread_time()
            hashlib.pbkdf2_hmac("sha256", b"known", b"salt", 5_000)
            took_s.append(time.thread_time() - started_s)
        _local.per_s = 5_000 / min(took_s)
    rounds: float = _local.per_s
    return rounds


def _mixture(body: bytes, python: float, pieces: int = 1) -> None:
    piece_s = _page_s(body) / pieces
    for _ in range(pieces):
        _python(python * piece_s)
        _released((1.0 - python) * piece_s)


# waiting


def sleep(body: bytes) -> None:
    time.sleep(_page_s(body))


def socket_wait(body: bytes) -> None:
    """Blocks in a receive that nobody answers, until its time is out."""
    pair = getattr(_local, "pair", None) or socket.socketpair()
    _local.pair = pair
    pair[0].settimeout(_page_s(body))
    with suppress(TimeoutError):
        pair[0].recv(1)


def wait_and_python(body: bytes) -> None:
    """Waits two thirds of its time, and computes in Python for one."""
    time.sleep(_page_s(body))
    _python(_page_s(body) / 2)


def python_and_wait(body: bytes) -> None:
    """The other way round."""
    _python(_page_s(body))
    time.sleep(_page_s(body) / 2)


# Python


def loop(body: bytes) -> int:
    total = 0
    for byte in body[::2]:
        total = (total * 31 + byte) & 0xFFFF
    return total


class _Tags(HTMLParser):
    """Counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def handle_starttag(self, _tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        self.count += 1


def html_parser(body: bytes) -> int:
    parser = _Tags()
    parser.feed(body.decode("utf-8", "replace"))
    return parser.count


def soup(body: bytes) -> int:
    from bs4 import BeautifulSoup  # noqa: PLC0415  # a worker loads what it uses

    return len(BeautifulSoup(body[:20_000], "html.parser").find_all("a"))


_WORD = re.compile(r"\w+")


def regex(body: bytes) -> int:
    """Many short searches, line by line."""
    found = 0
    for line in body.decode("utf-8", "replace").splitlines():
        found += sum(1 for _ in _WORD.finditer(line[:2_000]))
    return found


def json_records(body: bytes) -> int:
    """Many short documents."""
    size = 0
    for start in range(0, len(body), 200):
        record = {"text": body[start : start + 200].decode("latin-1"), "start": start, "tags": ["a", "b"]}
        size += len(json.loads(json.dumps(record))["text"])
    return size


def digests(body: bytes) -> int:
    """Hashes of inputs so small that the GIL is kept."""
    return sum(hashlib.sha256(body[start : start + 100]).digest()[0] for start in range(0, len(body), 100))


# C that lets the GIL go


def zlib_deflate(body: bytes) -> int:
    return len(zlib.compress(body, 6))


def digest_large(body: bytes) -> bytes:
    return hashlib.sha256(body * 20).digest()


def _private_parser() -> Any:
    from lxml import etree  # noqa: PLC0415  # a worker loads what it uses

    if not hasattr(_local, "parser"):
        _local.parser = etree.HTMLParser()
    return _local.parser


def lxml_parse(body: bytes) -> str:
    from lxml import etree  # noqa: PLC0415  # a worker loads what it uses

    return str(etree.fromstring(body, _private_parser()).tag)


def lxml_xpath(body: bytes) -> int:
    from lxml import etree  # noqa: PLC0415  # a worker loads what it uses

    root = etree.fromstring(body, _private_parser())
    found: list[Any] = [*root.xpath("//a/@href"), *root.xpath("//title/text()")]
    return len(found)


def lxml_shared(body: bytes) -> str:
    """With lxml's default parser, whose lock threads share."""
    from lxml import etree  # noqa: PLC0415  # a worker loads what it uses

    return str(etree.HTML(body).tag)


def lexbor_parse(body: bytes) -> bool:
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415  # a worker loads what it uses

    return LexborHTMLParser(body) is not None


def lexbor_select(body: bytes) -> int:
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415  # a worker loads what it uses

    return len([node.attributes.get("href") for node in LexborHTMLParser(body).css("a")])


# C that keeps it


def sort_large(body: bytes) -> int:
    """One call of some milliseconds."""
    numbers = [int.from_bytes(body[at : at + 3], "big") for at in range(0, 3_000, 3)]
    return len(sorted(numbers * max(1, len(body) // 500)))


def regex_catastrophic(body: bytes) -> bool:
    """One search that goes back and forth exponentially, for each 20 KB of the page."""
    return any(_BACKTRACKS.match("a" * 17) for _ in range(max(1, len(body) // 20_000)))


_BACKTRACKS = re.compile(r"(a+)+b")


def int_power(body: bytes) -> int:
    """Large integers: milliseconds in one bytecode, for each 50 KB of the page."""
    power = 3 + len(body) % 2 * 2  # no constant, which the compiler would fold
    return sum((power**300_000).bit_length() for _ in range(max(1, len(body) // 50_000)))


# mixtures


def quarter(body: bytes) -> None:
    _mixture(body, 0.25)


def half(body: bytes) -> None:
    _mixture(body, 0.5)


def three_quarters(body: bytes) -> None:
    _mixture(body, 0.75)


def half_fine(body: bytes) -> None:
    """In pieces of a tenth of a millisecond."""
    _mixture(body, 0.5, max(1, round(_page_s(body) / 1e-4)))


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a function.

    Args:
        function: takes a page's bytes.
        kinds: what it does for most of its wall time; two where it does both by halves.
        held_share: of its CPU time, with the GIL; None where that is too little to matter.
        has_lock: whether threads share a lock other than the GIL.
    """

    function: Callable[[bytes], object]
    kinds: tuple[Kind, ...]
    held_share: float | None
    has_lock: bool = False

    @property
    def name(self) -> str:
        return self.function.__name__


KNOWN = (
    Known(sleep, ("waiting",), None),
    Known(socket_wait, ("waiting",), None),
    Known(wait_and_python, ("waiting",), 1.0),
    Known(python_and_wait, ("python",), 1.0),
    Known(loop, ("python",), 1.0),
    Known(html_parser, ("python",), 1.0),
    Known(soup, ("python",), 1.0),
    Known(regex, ("python",), 1.0),
    Known(json_records, ("python",), 1.0),
    Known(digests, ("python",), 1.0),
    Known(zlib_deflate, ("native",), 0.0),
    Known(digest_large, ("native",), 0.027),
    Known(lxml_parse, ("native",), 0.127),
    Known(lxml_xpath, ("native",), 0.130),
    Known(lxml_shared, ("native",), 0.116, has_lock=True),
    Known(lexbor_parse, ("native",), 0.108),
    Known(lexbor_select, ("native",), 0.192),
    Known(sort_large, ("native-held",), 1.0),
    Known(regex_catastrophic, ("native-held",), 1.0),
    Known(int_power, ("native-held",), 1.0),
    Known(quarter, ("native",), 0.25),
    Known(half, ("python", "native"), 0.5),
    Known(three_quarters, ("python",), 0.75),
    Known(half_fine, ("python", "native"), 0.5),
)
