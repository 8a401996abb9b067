"""One attempt against a real server: every way to succeed, and a named end for every way to fail."""

import asyncio
import base64
import os
import socket
from typing import Any

import pytest

from fixtures_server import FixtureServer
from scraper.errors import InvalidOption, NotRunning
from scraper.fetch import AioFetcher, OpenGate
from scraper.model import Failure, Request, Response, Skip, Stage
from scraper.options import FetchOptions, Resolve
from tests.fetch.attempt import OPEN_GATE, attempt
from tests.fetch.peer import HTML, Peer, Step, answer, turns

ASKED, HANG, RESET, TURNS = Step.ASKED, Step.HANG, Step.RESET, Step.TURNS

PAGE = answer(b"<p>page")
GOOD = [
    "ok",
    "until-close",
    "chunked",
    "gzip",
    "gzip-members",
    "gzip-trailing-garbage",
    "deflate",
    "deflate-raw",
    "br",
    "zstd",
    "stacked-encodings",
    "no-content-type",
    "slow-body?interval_s=0",
    "redirect?to=/faults/ok",
    "redirect?hops=10&to=/faults/ok",
    "redirect?code=301&to=/faults/ok",
    "redirect?code=303&to=/faults/ok",
    "redirect?code=307&to=/faults/ok",
    "redirect?code=308&to=/faults/ok",
]

BAD = [
    ("status?code=404", "http_404", False),
    ("status?code=410", "http_410", False),
    ("status?code=300", "http_300", False),
    ("status?code=304", "http_304", False),
    ("status?code=500", "http_500", True),
    ("status?code=503", "http_503", True),
    ("status?code=999", "http_999", False),
    ("redirect?hops=11", "too_many_redirects", False),
    ("redirect?to=file:///etc/hostname", "redirect_scheme", False),
    ("redirect?to=http://[", "bad_redirect", False),
    ("redirect-nowhere", "bad_redirect", False),
    ("redirect-loop", "redirect_loop", False),
    ("redirect-loop?length=1", "redirect_loop", False),
    ("reset", "connection_reset", True),
    ("reset-at-once", "connection_reset", True),
    ("empty-reply", "disconnected", True),
    ("headers-cut", "disconnected", True),
    ("length-too-long", "truncated_body", True),
    ("length-too-short", "bad_framing", True),
    ("length-negative", "bad_framing", True),
    ("lengths-differ", "bad_framing", True),
    ("length-and-chunked", "bad_framing", True),
    ("chunked-cut", "truncated_body", True),
    ("chunked-cut-inside", "truncated_body", True),
    ("chunk-size-garbage", "bad_framing", True),
    ("status-line-garbage", "bad_framing", True),
    ("header-without-colon", "bad_framing", True),
    ("many-headers", "header_too_large", False),
    ("many-headers?count=20000", "header_too_large", False),
    ("many-headers?count=1&size=1000000", "header_too_large", False),
    ("gzip-truncated", "truncated_encoding", True),
    ("gzip-garbage", "bad_encoding", False),
    ("gzip-bomb", "body_too_large", False),
    ("br-bomb", "body_too_large", False),
    ("zstd-bomb", "body_too_large", False),
    ("unknown-encoding", "unknown_encoding", False),
    ("huge-page", "body_too_large", False),
    ("endless-page", "body_too_large", False),
]

ENDLESS = ["slow-body", "slow-headers", "silence", "silence-after-headers"]


@pytest.mark.parametrize("path", GOOD)
async def test_a_good_answer_comes_through_whole(site: FixtureServer, path: str) -> None:
    got = await attempt(f"{site.url}faults/{path}")
    assert isinstance(got, Response)
    assert got.status == 200
    assert b"<title>" in got.body
    assert got.body.rstrip().endswith(b"</html>")
    assert got.latency_s
    assert got.latency_s > 0


@pytest.mark.parametrize(("path", "reason", "retryable"), BAD)
async def test_a_bad_answer_is_a_named_failure(site: FixtureServer, path: str, reason: str, retryable: bool) -> None:
    got = await attempt(f"{site.url}faults/{path}", max_body_bytes=2_000_000)
    assert isinstance(got, Failure)
    assert (got.stage, got.reason, got.retryable) == (Stage.FETCH, reason, retryable)
    assert got.detail
    assert got.latency_s is not None


@pytest.mark.parametrize("path", ENDLESS)
async def test_an_attempt_ends_at_its_deadline(site: FixtureServer, path: str) -> None:
    """Also where the server sends a byte now and then, which no read time-out would notice."""
    got = await attempt(f"{site.url}faults/{path}", timeout_s=0.3)
    assert isinstance(got, Failure)
    assert (got.reason, got.retryable) == ("timeout", True)
    assert got.latency_s is not None
    assert got.latency_s > 0


async def test_the_deadline_counts_redirects_together() -> None:
    async with Peer((ASKED, answer(b"", "Location: /next", status="302 Found"), ASKED, HANG)) as peer:
        got = await attempt(peer.url, timeout_s=0.2)
    assert isinstance(got, Failure)
    assert got.reason == "timeout"
    assert len(peer.requests) == 2


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("not-html", "image/gif"),
        ("not-html?type=text/plain", "text/plain"),
        ("json", "application/json"),
    ],
)
async def test_other_content_is_skipped(site: FixtureServer, path: str, detail: str) -> None:
    assert await attempt(f"{site.url}faults/{path}") == Skip("content_type", detail)


@pytest.mark.parametrize("accept", ["application/json", "application/*", "*/*"])
async def test_a_request_gets_the_content_that_it_accepts(site: FixtureServer, accept: str) -> None:
    got = await attempt(Request(f"{site.url}faults/json", accept=accept))
    assert isinstance(got, Response)
    assert got.body.startswith(b"{")


async def test_accepted_types_are_asked_for() -> None:
    async with Peer((ASKED, answer(b"<p>"), ASKED, answer(b"<p>"))) as peer:
        await attempt(Request(peer.url, accept=("application/json", "image/*")))
        await attempt(Request(peer.url, accept="image/*", headers={"accept": "text/x-own"}))
    assert b"\r\nAccept: application/json,image/*,text/html," in peer.requests[0]
    assert peer.requests[1].lower().count(b"accept: ") == 1
    assert b"text/x-own" in peer.requests[1]


@pytest.mark.parametrize(("body", "is_page"), [(b"<!doctype html><p>x", True), (b"GIF89a", False), (b"", True)])
async def test_without_a_content_type_the_first_bytes_decide(body: bytes, is_page: bool) -> None:
    async with Peer((ASKED, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))) as peer:
        got = await attempt(peer.url)
        assert isinstance(got, Response if is_page else Skip)
    async with Peer((ASKED, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))) as peer:
        assert isinstance(await attempt(Request(peer.url, accept="*/*")), Response)


@pytest.mark.parametrize("path", ["empty-page", "gzip-empty", "status?code=204"])
async def test_an_empty_body_is_a_page_without_content(site: FixtureServer, path: str) -> None:
    got = await attempt(f"{site.url}faults/{path}")
    assert isinstance(got, Response)
    assert (got.body, got.wire_bytes) == (b"", 0)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        (b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", 205),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + answer(b""), 200),
        (b"HTTP/1.0 200 OK\r\n\r\n", 200),
    ],
)
async def test_unusual_good_answers(head: bytes, status: int) -> None:
    async with Peer((ASKED, head)) as peer:
        got = await attempt(peer.url)
    assert isinstance(got, Response)
    assert (got.status, got.body) == (status, b"")


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "http_101"),
        (b"HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n", "http_99"),
        (b"HTTP/1.1 1000 What\r\nContent-Length: 0\r\n\r\n", "bad_framing"),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "http_304"),
        (b"<html>no header at all</html>", "bad_framing"),
        (HTML + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "bad_framing"),
        (HTML + b"Transfer-Encoding: surprise\r\n\r\nbody", "bad_framing"),
        (HTML + b"Content-Length: 18446744073709551615\r\n\r\nbody", "body_too_large"),
        (HTML + b"Content-Length: 99999999999999999999999\r\n\r\nbody", "bad_framing"),
        (HTML + b"Content-Length: \r\n\r\nbody", "bad_framing"),
        (HTML + b"Content-Length: 1_0\r\n\r\n0123456789", "bad_framing"),
        (HTML + b"Content-Length: 4, 4\r\n\r\nbody", "bad_framing"),
        (HTML + b"X: a\0b\r\nContent-Length: 0\r\n\r\n", "bad_framing"),
        (b"HTTP/1.1 200 " + b"O" * 100_000 + b"\r\nContent-Length: 0\r\n\r\n", "header_too_large"),
    ],
)
async def test_unusual_bad_answers(head: bytes, reason: str) -> None:
    async with Peer((ASKED, head, HANG)) as peer:
        got = await attempt(peer.url)
    assert isinstance(got, Failure)
    assert got.reason == reason


@pytest.mark.parametrize("sent", [0, 20])
async def test_a_body_that_is_longer_than_its_length_is_not_taken_for_whole(sent: int) -> None:
    """Half a page would be taken for the page. What comes later than the end of a body cannot be waited for."""
    body = b"<p>" + b"x" * 100
    head = HTML + b"Content-Length: 50\r\n\r\n"
    async with Peer((ASKED, head + body[:sent], TURNS, body[sent:], HANG)) as peer:
        got = await attempt(peer.url)
    assert isinstance(got, Failure)
    assert (got.reason, got.retryable) == ("bad_framing", True)


@pytest.mark.parametrize(
    "trailer", [b"".join(b"X-%d: y\r\n" % number for number in range(2_000)), b"X: " + b"y" * 1_000_000 + b"\r\n"]
)
async def test_a_trailer_is_bounded_like_a_header(trailer: bytes) -> None:
    chunks = HTML + b"Transfer-Encoding: chunked\r\n\r\n4\r\n<p>x\r\n0\r\n"
    for end, reason in ((b"X: y\r\n\r\n", None), (trailer + b"\r\n", "header_too_large")):
        async with Peer((ASKED, chunks + end, HANG)) as peer:
            assert getattr(await attempt(peer.url), "reason", None) == reason


@pytest.mark.parametrize(
    ("count", "size", "reason"),
    [(100, 2_500, None), (100, 2_700, "header_too_large"), (125, 30_000, "header_too_large")],
)
async def test_a_header_is_bounded_as_a_whole(count: int, size: int, reason: str | None) -> None:
    fields = b"".join(b"X-%d: %b\r\n" % (number, b"y" * size) for number in range(count))
    async with Peer((ASKED, HTML + fields + b"Content-Length: 3\r\n\r\n<p>", HANG)) as peer:
        assert getattr(await attempt(peer.url), "reason", None) == reason


async def test_endless_interim_answers_end_at_the_deadline() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    async with Peer((ASKED, *(interim, TURNS) * 20, HANG)) as peer:
        got = await attempt(peer.url, timeout_s=0.2)
    assert isinstance(got, Failure)
    assert got.reason == "timeout"


async def test_a_body_that_is_cut_by_a_reset_is_not_taken_for_whole() -> None:
    """Without a length the end of the connection is the end of the body, but not every end."""
    async with Peer((ASKED, HTML + b"\r\n<p>half", TURNS, RESET)) as peer:
        got = await attempt(peer.url)
    assert isinstance(got, Failure)
    assert (got.reason, got.retryable) == ("connection_reset", True)


async def test_the_answer_tells_what_came() -> None:
    body = "<p>ü".encode()
    headers = ("X-Utf: ü", "set-cookie: a=1", "Set-Cookie: b=2", "Content-Type: Text/HTML; charset=utf-8")
    async with Peer((ASKED, answer(body, *headers))) as peer:
        got = await attempt(f"{peer.url}page?q=1")
    assert isinstance(got, Response)
    assert (got.url, got.body, got.wire_bytes) == (f"{peer.url}page?q=1", body, 5)
    assert got.headers[1:] == tuple(tuple(line.split(": ")) for line in headers)
    assert {type(text) for pair in got.headers for text in pair} == {str}  # what every process can unpickle


async def test_headers_that_are_not_utf_8_are_latin_1() -> None:
    async with Peer((ASKED, HTML + b"X-Old: caf\xe9\r\nContent-Length: 0\r\n\r\n")) as peer:
        got = await attempt(peer.url)
    assert isinstance(got, Response)
    assert ("X-Old", "café") in got.headers


async def test_bytes_that_are_no_text_never_leave_as_broken_text() -> None:
    """A reason or a detail goes into files, and a lone surrogate would break the whole file."""
    pages = (
        b"HTTP/1.1 404 Caf\xe9\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: caf\xe9/\xe9\r\nContent-Length: 0\r\n\r\n",
        HTML + b"Content-Encoding: caf\xe9\r\nContent-Length: 1\r\n\r\nx",
        HTML + b"Transfer-Encoding: caf\xe9\r\n\r\nx",
    )
    for page in pages:
        async with Peer((ASKED, page)) as peer:
            got = await attempt(peer.url)
        assert not isinstance(got, Response)
        got.detail.encode()


async def test_a_location_that_is_no_utf_8_leads_where_its_bytes_say() -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: /caf\xe9?%b\r\nContent-Length: 0\r\n\r\n" % "ü".encode()
    async with Peer((ASKED, moved.replace(b"?\xc3\xbc", b""), ASKED, moved.replace(b"\xe9", b""), ASKED, PAGE)) as peer:
        got = await attempt(peer.url)
    assert isinstance(got, Response)
    assert [request.split()[1] for request in peer.requests] == [b"/", b"/caf%E9", b"/caf?%C3%BC"]


async def test_wire_bytes_are_counted_before_unpacking(site: FixtureServer) -> None:
    plain = await attempt(f"{site.url}faults/charset?header=utf-8")
    packed = await attempt(f"{site.url}faults/gzip-members")
    assert isinstance(plain, Response)
    assert isinstance(packed, Response)
    assert plain.wire_bytes == len(plain.body)
    assert packed.wire_bytes not in (0, len(packed.body))


async def test_the_caps_hold_for_the_body_as_it_comes_and_as_it_unpacks() -> None:
    body = b"<p>" + bytes(1000)
    for script in (answer(body), HTML + b"\r\n" + body):
        async with Peer((ASKED, script), (ASKED, script)) as peer:
            assert isinstance(await attempt(peer.url, max_body_bytes=1003), Response)
            got = await attempt(peer.url, max_body_bytes=1002)
        assert isinstance(got, Failure)
        assert got.reason == "body_too_large"


async def test_a_large_page_is_unpacked_whole() -> None:
    """Beyond a quarter of a megabyte a thread does it, and the pieces still make one page."""
    import gzip

    body = b"".join(b"<p>%d\n" % (number * number) for number in range(400_000))
    packed = gzip.compress(body, 1)
    assert len(packed) > 1_000_000  # so that it comes, and is unpacked, in several portions
    async with Peer((ASKED, answer(packed, "Content-Encoding: gzip"))) as peer:
        got = await attempt(peer.url)
    assert isinstance(got, Response)
    assert got.body == body
    assert got.wire_bytes == len(packed)


async def test_garbage_deep_in_a_large_page_is_found() -> None:
    import gzip

    packed = bytearray(gzip.compress(os.urandom(1_000_000)))
    packed[-20:] = bytes(20)
    async with Peer((ASKED, answer(bytes(packed), "Content-Encoding: gzip"))) as peer:
        got = await attempt(peer.url)
    assert isinstance(got, Failure)
    assert got.reason == "bad_encoding"


async def test_a_request_says_who_asks_and_what_it_can_read() -> None:
    async with Peer((ASKED, answer(b"<p>"))) as peer:
        await attempt(f"{peer.url}a%20b?x=|y#part", user_agent="me/1", headers={"X-Mine": "1", "Accept-Language": "de"})
    head = peer.requests[0].decode()
    assert head.startswith("GET /a%20b?x=|y HTTP/1.1\r\n")
    assert f"\r\nHost: 127.0.0.1:{peer.port}\r\n" in head
    assert "\r\nUser-Agent: me/1\r\n" in head
    assert "\r\nAccept: text/html," in head
    assert "\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n" in head
    assert "\r\nX-Mine: 1\r\n" in head
    assert "\r\nAccept-Language: de\r\n" in head


async def test_a_requests_own_headers_go_before_the_crawls() -> None:
    async with Peer((ASKED, answer(b"<p>"))) as peer:
        await attempt(
            Request(peer.url, headers={"x-mine": "2", "USER-AGENT": "other", "Authorization": "theirs"}),
            headers={"X-Mine": "1", "authorization": "ours"},
        )
    head = peer.requests[0].lower()
    assert b"x-mine: 2" in head
    assert b"user-agent: other" in head
    assert b"authorization: theirs" in head
    assert head.count(b"x-mine") == head.count(b"user-agent") == head.count(b"authorization") == 1


@pytest.mark.parametrize("size", [3, 3_000_000])
async def test_a_body_is_sent_and_sent_again_on_307(size: int) -> None:
    moved = answer(b"", "Location: /there", status="307 Temporary Redirect")
    async with Peer((ASKED, moved, ASKED, answer(b"<p>"))) as peer:
        got = await attempt(Request(peer.url, method="post", body=b"x" * size, headers={"Content-Type": "text/csv"}))
    assert isinstance(got, Response)
    assert got.url == f"{peer.url}there"
    for request, path in zip(peer.requests, (b"/", b"/there"), strict=True):
        assert request.startswith(b"POST %b HTTP/1.1\r\n" % path)
        assert b"\r\nContent-Type: text/csv\r\n" in request
        assert request.endswith(b"\r\n\r\n" + b"x" * size)


async def test_a_head_request_has_no_body_whatever_its_header_says() -> None:
    head = HTML + b"Content-Encoding: gzip\r\nContent-Length: 99999999999\r\n\r\n"
    async with Peer((ASKED, head)) as peer:
        got = await attempt(Request(peer.url, method="HEAD"))
    assert isinstance(got, Response)
    assert got.body == b""


@pytest.mark.parametrize(
    "request_",
    [
        Request("http://127.0.0.1:9/", headers={"X-Bad": "a\r\nHost: evil"}),
        Request("http://127.0.0.1:9/", headers={"X-Bad": "a\udcffb"}),
        Request("http://127.0.0.1:9/", headers={"bad name": "x"}),
        Request("http://127.0.0.1:9/", method="GET / HTTP/1.1\r\nX:"),
    ],
)
async def test_a_header_that_could_split_a_request_is_never_sent(request_: Request) -> None:
    got = await attempt(request_)
    assert isinstance(got, Failure)
    assert (got.reason, got.retryable) == ("bad_header", False)


@pytest.mark.parametrize("options", [{"user_agent": "a\nb"}, {"headers": {"a:": "x"}}, {"headers": {"a": "\0"}}])
def test_the_crawls_own_headers_are_checked_before_it_starts(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        AioFetcher(FetchOptions(**options), OPEN_GATE, 1)


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/", "http://[::1/", "http:///x", "ftp://127.0.0.1/"])
async def test_a_url_that_cannot_be_asked_for_is_a_failure(url: str) -> None:
    got = await attempt(url)
    assert isinstance(got, Failure)
    assert (got.reason, got.retryable) == ("bad_url", False)


async def test_nobody_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        got = await attempt(f"http://127.0.0.1:{closed.getsockname()[1]}/")
    assert isinstance(got, Failure)
    assert (got.reason, got.retryable) == ("connection_refused", True)


async def test_nobody_accepts() -> None:
    """A full backlog answers nothing: what a firewall that drops packets looks like."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with socket.create_connection(address), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(address)
            got = await attempt("http://{}:{}/".format(*address), connect_timeout_s=0.2)
    assert isinstance(got, Failure)
    assert (got.reason, got.retryable) == ("connect_timeout", True)


@pytest.mark.parametrize("host", ["nowhere.invalid", "x" * 64 + ".invalid", "a..invalid"])
async def test_a_name_without_address(host: str) -> None:
    got = await attempt(f"http://{host}/", timeout_s=20)
    assert isinstance(got, Failure)
    assert got.reason == "dns"


async def test_a_name_goes_where_the_options_say() -> None:
    async with Peer((ASKED, answer(b"<p>"))) as peer:
        resolve = (
            Resolve(host="Shop.Example", port=peer.port, address="127.0.0.1"),
            Resolve(host="shop.example", port=peer.port + 1, address="192.0.2.1"),
        )
        got = await attempt(f"http://shop.example:{peer.port}/", resolve=resolve)
    assert isinstance(got, Response)
    assert got.url == f"http://shop.example:{peer.port}/"
    assert b"Host: shop.example:%d\r\n" % peer.port in peer.requests[0]


async def test_an_ip_address_is_no_name_to_resolve() -> None:
    async with Peer((ASKED, answer(b"<p>"))) as peer:
        resolve = (Resolve(host="127.0.0.1", port=peer.port, address="192.0.2.1"),)
        assert isinstance(await attempt(peer.url, resolve=resolve), Response)


async def test_other_names_are_asked_of_the_system() -> None:
    async with Peer((ASKED, answer(b"<p>"))) as peer:
        resolve = (Resolve(host="a.test", port=80, address="192.0.2.1"),)
        assert isinstance(await attempt(f"http://localhost:{peer.port}/", resolve=resolve), Response)


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with Peer((ASKED, answer(b"<p>"))) as peer:
        assert isinstance(await attempt(peer.url), Response)


async def test_cookies_are_not_kept() -> None:
    async with Peer(
        (ASKED, answer(b"", "Set-Cookie: a=1", "Location: /x", status="302 Found"), ASKED, answer(b""))
    ) as peer:
        await attempt(peer.url)
    assert b"ookie" not in peer.requests[1]


class RecordingGate:
    """Lets everything pass, or answers what it is told, and notes what it is asked."""

    def __init__(self, answer: Skip | Failure | None = None) -> None:
        self.answer = answer
        self.calls: list[tuple[str, str]] = []
        self.requests: list[Request] = []

    async def hop(self, request: Request, url: str) -> Skip | Failure | None:
        self.calls.append(("hop", url))
        self.requests.append(request)
        return self.answer

    async def again(self, url: str) -> None:
        self.calls.append(("again", url))

    def left(self, url: str) -> None:
        self.calls.append(("left", url))

    def replayed(self, url: str) -> None:
        self.calls.append(("replayed", url))


async def test_the_gate_is_asked_for_every_hop_and_not_for_the_first_url() -> None:
    gate = RecordingGate()
    async with Peer(
        (
            ASKED,
            answer(b"", "Location: /b#part", status="301 Moved"),
            ASKED,
            answer(b"", "Location: c", status="302 Found"),
            ASKED,
            answer(b"<p>"),
        )
    ) as peer:
        request = Request(f"{peer.url}a")
        got = await attempt(request, gate)
    assert isinstance(got, Response)
    assert got.url == f"{peer.url}c"
    a, b, c = f"{peer.url}a", f"{peer.url}b", f"{peer.url}c"
    assert gate.calls == [("left", a), ("hop", b), ("left", b), ("hop", c)]
    assert gate.requests == [request, request]


@pytest.mark.parametrize("refusal", [Skip("out_of_scope"), Failure(Stage.FETCH, "host_down", retryable=True)])
async def test_a_hop_that_the_gate_refuses_is_not_sent(refusal: Skip | Failure) -> None:
    gate = RecordingGate(refusal)
    async with Peer((ASKED, answer(b"", "Location: /b", status="302 Found"))) as peer:
        assert await attempt(peer.url, gate) is refusal
    assert len(peer.requests) == 1
    assert gate.calls == [("left", peer.url), ("hop", f"{peer.url}b")]


@pytest.mark.parametrize(
    "moved",
    [
        answer(b"", "Location: ftp://a.test/", status="302 Found"),
        answer(b"", status="302 Found"),
        answer(b"", "Location: /", status="302 Found"),
    ],
)
async def test_a_redirect_to_nowhere_ends_before_the_gate(moved: bytes) -> None:
    gate = RecordingGate()
    async with Peer((ASKED, moved)) as peer:
        assert isinstance(await attempt(peer.url, gate), Failure)
    assert gate.calls == []


async def test_what_is_sent_once_more_waits_for_its_turn() -> None:
    gate = RecordingGate()
    async with (
        Peer((ASKED, PAGE, ASKED, RESET), (ASKED, PAGE)) as peer,
        AioFetcher(FetchOptions(), gate, 1) as fetcher,
    ):
        for path in "ab":
            assert isinstance(await fetcher.fetch(Request(peer.url + path)), Response)
    assert gate.calls == [("left", f"{peer.url}b"), ("again", f"{peer.url}b")]


async def test_a_closed_gate_does_not_use_up_the_time_of_an_attempt() -> None:
    """The wait for another host's turn is the crawl's own doing, and may be longer than an attempt."""

    class ClosedGate(OpenGate):
        async def hop(self, request: Request, url: str) -> None:
            await asyncio.sleep(2 * timeout_s)

    timeout_s = 0.1
    async with Peer((ASKED, answer(b"", "Location: /b", status="302 Found"), ASKED, PAGE)) as peer:
        assert isinstance(await attempt(peer.url, ClosedGate(), timeout_s=timeout_s), Response)


async def test_the_gate_may_fetch_something_itself() -> None:
    """Such as the robots.txt of the host that a redirect leads to, over a redirect of its own."""

    class AskingGate(OpenGate):
        async def hop(self, request: Request, url: str) -> None:
            if url.endswith("/b"):
                got.append(await fetcher.fetch(Request(f"{peer.url}robots.txt", accept="*/*")))

    got: list[Response | Failure | Skip] = []
    to_b, to_c = (answer(b"", f"Location: /{path}", status="302 Found") for path in "bc")
    async with (
        Peer((ASKED, to_b, ASKED, to_c, ASKED, answer(b"robots"), ASKED, PAGE)) as peer,
        AioFetcher(FetchOptions(), AskingGate(), 1) as fetcher,
    ):
        got.append(await fetcher.fetch(Request(f"{peer.url}a")))
    assert [one.body for one in got if isinstance(one, Response)] == [b"robots", b"<p>page"]
    assert [request.split()[1] for request in peer.requests] == [b"/a", b"/robots.txt", b"/c", b"/b"]
    assert peer.connections == 1


async def test_closing_ends_who_waits_at_the_gate() -> None:
    entered = asyncio.Event()

    class ClosedGate(OpenGate):
        async def hop(self, request: Request, url: str) -> None:
            entered.set()
            await asyncio.Event().wait()

    async with Peer((ASKED, answer(b"", "Location: /b", status="302 Found"))) as peer:
        async with AioFetcher(FetchOptions(), ClosedGate(), 1) as fetcher:
            task = asyncio.create_task(fetcher.fetch(Request(peer.url)))
            await entered.wait()
        got = await task
    assert isinstance(got, Failure)
    assert got.reason == "closed"


async def test_credentials_go_to_their_origin_and_nowhere_else() -> None:
    secret = {"Authorization": "s3cret", "Cookie": "s3cret", "Proxy-Authorization": "s3cret", "X-Kind": "k"}
    async with Peer((ASKED, answer(b"<p>"))) as other:
        moved = answer(b"", f"Location: {other.url}", status="302 Found")
        async with Peer((ASKED, moved)) as peer:
            await attempt(Request(peer.url, headers=secret))
            await attempt(peer.url, headers=secret)
    for request in peer.requests:
        assert request.count(b"s3cret") == 3
    assert len(other.requests) == 2
    for request in other.requests:
        assert b"s3cret" not in request
        assert b"X-Kind: k" in request


async def test_a_password_in_a_url_is_sent_and_never_shown() -> None:
    async with Peer((ASKED, answer(b"<p>")), (ASKED, RESET)) as peer:
        url = f"http://user:s3cret@127.0.0.1:{peer.port}/"
        got = await attempt(url)
        broken = await attempt(url)
    assert b"Authorization: Basic %b\r\n" % base64.b64encode(b"user:s3cret") in peer.requests[0]
    assert isinstance(got, Response)
    assert got.url == peer.url
    assert isinstance(broken, Failure)
    assert "s3cret" not in repr((got, broken))


async def test_a_password_in_a_failing_url_is_never_shown() -> None:
    for url in (
        "http://user:s3cret@127.0.0.1:1/",
        "http://user:s3cret@nowhere.invalid/",
        "http://user:s3cret@127.0.0.1:99999/",
    ):
        got = await attempt(url, timeout_s=20)
        assert isinstance(got, Failure)
        assert "s3cret" not in repr(got)


async def test_a_password_in_a_location_is_never_shown() -> None:
    gate = RecordingGate()
    async with Peer((ASKED, b"")) as peer:
        location = f"Location: http://user:s3cret@127.0.0.1:{peer.port}/"
        async with Peer((ASKED, answer(b"", location, status="302 Found"))) as first:
            got = await attempt(first.url, gate)
    assert b"Authorization: Basic" in peer.requests[0]
    assert "s3cret" not in repr((got, gate.calls))


@pytest.mark.parametrize("form", ["17", "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_retry_after_is_told(form: str) -> None:
    async with Peer((ASKED, answer(b"later", f"Retry-After: {form}", status="429 Slow Down"))) as peer:
        got = await attempt(peer.url)
    assert isinstance(got, Failure)
    assert (got.reason, got.detail, got.retryable) == ("http_429", "Slow Down", True)
    assert got.retry_after_s == (17.0 if form == "17" else 0.0)


async def test_it_must_be_open() -> None:
    fetcher = AioFetcher(FetchOptions(), OPEN_GATE, 1)
    with pytest.raises(NotRunning):
        await fetcher.fetch(Request("http://127.0.0.1:9/"))
    async with fetcher:
        assert "open" in repr(fetcher)
    assert "closed" in repr(fetcher)
    with pytest.raises(NotRunning):
        await fetcher.fetch(Request("http://127.0.0.1:9/"))


async def test_it_may_be_opened_again() -> None:
    async with Peer((ASKED, answer(b"<p>"), HANG)) as peer:
        fetcher = AioFetcher(FetchOptions(), OPEN_GATE, 1)
        for _ in range(2):
            async with fetcher:
                assert isinstance(await fetcher.fetch(Request(peer.url)), Response)
            await peer.until_open(0)


async def test_closing_leaves_no_connection_open() -> None:
    async with Peer((ASKED, answer(b"<p>"), HANG)) as peer:
        async with AioFetcher(FetchOptions(), OPEN_GATE, 8) as fetcher:
            await asyncio.gather(*(fetcher.fetch(Request(f"{peer.url}{number}")) for number in range(8)))
            assert peer.open > 0  # kept for the next requests
        await peer.until_open(0)


@pytest.mark.parametrize("script", [(ASKED, HANG), (ASKED, HTML + b"Content-Length: 9\r\n\r\nhalf", HANG)])
async def test_cancelling_closes_the_connection(script: tuple[bytes | Step, ...]) -> None:
    """A connection that a body is half read from must not serve another request."""
    async with Peer(script) as peer, AioFetcher(FetchOptions(), OPEN_GATE, 1) as fetcher:
        task = asyncio.create_task(fetcher.fetch(Request(peer.url)))
        await peer.until_asked(1)
        await turns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await peer.until_open(0)


@pytest.mark.parametrize(
    "script",
    [
        (ASKED, HANG),
        (ASKED, HTML + b"Content-Length: 9\r\n\r\nhalf", HANG),
        (ASKED, answer(b"", "Location: /b", status="302 Found"), ASKED, HANG),
        (ASKED, answer(b"", "Location: /b", status="302 Found")[:-1], HANG),
        (ASKED, b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nhalf", HANG),
    ],
)
async def test_closing_ends_what_is_under_way(script: tuple[bytes | Step, ...]) -> None:
    async with Peer(script) as peer:
        async with AioFetcher(FetchOptions(), OPEN_GATE, 1) as fetcher:
            task = asyncio.create_task(fetcher.fetch(Request(peer.url)))
            await peer.until_asked(script.count(ASKED))
            await turns()
        got = await task
    assert isinstance(got, Failure)
    assert (got.stage, got.reason, got.retryable) == (Stage.FETCH, "closed", True)
