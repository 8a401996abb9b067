"""HTTP/1.1 as clients speak it: one request after another, in pieces, several at once, with bodies, and badly."""

import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from fixtures_server import FixtureServer, SiteOptions
from fixtures_server.content import latency_s

CLOSE = b"Connection: close\r\n\r\n"


def _connect(site: FixtureServer) -> socket.socket:
    parts = urlsplit(site.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=20)


def _read_answer(connection: socket.socket) -> bytes:
    """One answer with a Content-Length; what follows it stays unread."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte, f"closed after {head!r}"
        head += byte
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    body = b""
    while len(body) < length:
        body += connection.recv(length - len(body))
    return head + body


def test_requests_on_one_connection_are_answered_in_turn(site: FixtureServer) -> None:
    with _connect(site) as connection:
        for page in (1, 2, 3):
            connection.sendall(b"GET /page/%d HTTP/1.1\r\nHost: x\r\n\r\n" % page)
            assert b'data-page="%d"' % page in _read_answer(connection)


def test_requests_that_arrive_together_are_answered_in_order(site: FixtureServer, send: Callable[..., bytes]) -> None:
    """A slow one in the middle holds up those behind it, and none overtakes it."""
    targets = (b"/page/1", b"/faults/slow?wait_s=0.1", b"/echo", b"/page/2", b"/nowhere")
    requests = [b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target for target in targets]
    answers = send(site.url, b"".join(requests)[:-2] + CLOSE)
    marks = [b'data-page="1"', b"<title>slow<", b"<title>Echo<", b'data-page="2"', b"HTTP/1.1 404"]
    positions = [answers.index(mark) for mark in marks]
    assert positions == sorted(positions)


def test_a_request_may_come_byte_by_byte(site: FixtureServer) -> None:
    with _connect(site) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"\r\nPOST /echo.json HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nfour":
            connection.sendall(bytes([byte]))
        assert b'"body": "four"' in _read_answer(connection)


@pytest.mark.parametrize("request_end", [b" HTTP/1.1\r\n" + CLOSE, b" HTTP/1.0\r\n\r\n"])
@pytest.mark.parametrize("target", [b"/page/1", b"/faults/ok", b"/nowhere"])
def test_the_connection_is_closed_where_the_client_wants_that(
    site: FixtureServer, send: Callable[..., bytes], target: bytes, request_end: bytes
) -> None:
    answer = send(site.url, b"GET " + target + request_end)
    assert answer.startswith(b"HTTP/1.1 ")
    assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize("target", ["", "page/1", "faults/ok", "echo", "nowhere"])
def test_head_is_answered_as_get_is_without_the_body(site: FixtureServer, ask: Callable[..., Any], target: str) -> None:
    head, get = (ask(site.url + target, method) for method in ("HEAD", "GET"))
    assert (head.status, head.body) == (get.status, b"")
    if target != "echo":  # which tells the method
        assert head.headers.items() == get.headers.items()


def test_a_page_is_only_to_be_read(site: FixtureServer, ask: Callable[..., Any]) -> None:
    answer = ask(site.url_of(1), "POST", b"x=1")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_a_query_leads_to_the_same_page(site: FixtureServer, ask: Callable[..., Any]) -> None:
    assert ask(site.url_of(1) + "?from=somewhere").body == ask(site.url_of(1)).body


def test_a_proxy_request_is_answered_by_its_path(site: FixtureServer, send: Callable[..., bytes]) -> None:
    answer = send(site.url, b"GET http://example.org/page/3 HTTP/1.1\r\nHost: example.org\r\n" + CLOSE)
    assert b'data-page="3"' in answer


def test_echo_tells_what_was_sent(site: FixtureServer, ask: Callable[..., Any]) -> None:
    seen = json.loads(ask(site.url + "echo.json?a=b", "PUT", "caf\u00e9".encode(), X_One="1").body)
    assert (seen["method"], seen["target"], seen["body"]) == ("PUT", "/echo.json?a=b", "caf\u00e9")
    assert ["x-one", "1"] in seen["headers"]
    assert json.loads(ask(site.url + "echo", Accept="application/json").body)["method"] == "GET"
    page = ask(site.url + "echo?<&>", "POST", b"<b>", X_One="<i>").body
    for text in (b'<p id="method">POST</p>', b"&lt;i&gt;", b'<pre id="body">&lt;b&gt;</pre>'):
        assert text in page


def test_a_chunked_body_is_put_together(site: FixtureServer, send: Callable[..., bytes]) -> None:
    head = b"POST /echo.json HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + CLOSE
    answer = send(site.url, head + b"3;note\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n")
    assert b'"body": "abcde"' in answer


def test_a_client_that_waits_for_permission_gets_it(site: FixtureServer) -> None:
    with _connect(site) as connection:
        connection.sendall(b"POST /echo.json HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        permission = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert connection.recv(len(permission), socket.MSG_WAITALL) == permission
        connection.sendall(b"ok")
        assert b'"body": "ok"' in _read_answer(connection)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n: empty\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n", 413),
        (b"GET /" + b"x" * 70_000, 431),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 431),
    ],
)
def test_what_cannot_be_understood_is_refused_and_the_connection_closed(
    site: FixtureServer, send: Callable[..., bytes], request_bytes: bytes, status: int
) -> None:
    answer = send(site.url, request_bytes)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"Connection: close" in answer


def test_a_client_that_reads_slowly_gets_everything(site: FixtureServer) -> None:
    """Its answers do not pile up in the server: that reads the next request when the last answer is on its way."""
    count = 400
    with _connect(site) as connection:
        connection.sendall(b"GET /page/1 HTTP/1.1\r\n\r\n" * count)
        for _ in range(count):
            assert _read_answer(connection).endswith(b"</html>\n")


async def test_a_handler_ends_with_its_client(site: FixtureServer) -> None:
    """A server that waited on for a client that has gone would count its time-outs as open connections."""
    await site.reset()
    with _connect(site) as connection:
        connection.sendall(b"GET /faults/silence HTTP/1.1\r\n\r\n")
        while not await site.access_log():
            pass
        assert (await site.access_log())[0].duration_s is None
    while (await site.access_log())[0].duration_s is None:
        pass


def test_a_page_waits_for_its_latency_however_it_is_asked_for(ask: Callable[..., Any]) -> None:
    options = SiteOptions(pages=5, latency_s=0.03, distribution="lognormal")
    with FixtureServer(options) as site:
        for page in range(5):
            ask(site.url_of(page))
            ask(site.url_of(page), "HEAD")
            ask(site.url_of(page), Connection="close")
        log = site.access_log_blocking()
    assert len(log) == 15
    for entry in log:
        assert entry.duration_s is not None
        # A millisecond less: event loops round their timers.
        assert entry.duration_s >= latency_s(0.03, "lognormal", options.seed, entry.path) - 0.001


def test_a_client_that_leaves_during_the_latency_is_forgotten(ask: Callable[..., Any]) -> None:
    with FixtureServer(SiteOptions(pages=5, latency_s=60)) as site:
        with _connect(site) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            while not site.access_log_blocking():
                pass
        while site.access_log_blocking()[0].duration_s is None:
            pass
        assert site.access_log_blocking()[0].status == 0
        assert ask(site.fault("ok")).status == 200  # what is no page has no latency
