"""Connections are used again only where that is safe, and each thing aiohttp leaves open is closed here."""

import asyncio

import pytest

from scraper.fetch import AioFetcher, body, connector
from scraper.model import Failure, Request, Response, Skip
from scraper.options import FetchOptions, Resolve
from tests.fetch.attempt import OPEN_GATE
from tests.fetch.peer import HTML, Peer, Script, Step, answer, turns

ASKED, HANG, MARK, RESET, TURNS = Step.ASKED, Step.HANG, Step.MARK, Step.RESET, Step.TURNS
PAGE = answer(b"<p>page")
GOOD: Script = (ASKED, PAGE) * 9
CHUNKED = HTML + b"Transfer-Encoding: chunked\r\n\r\n4\r\n<p>x\r\n"


def fetcher(connections: int = 4, **options: float) -> AioFetcher:
    return AioFetcher(FetchOptions(**options), OPEN_GATE, connections)  # type: ignore[arg-type]


def body_of(got: Response | Failure | Skip) -> bytes:
    assert isinstance(got, Response), got
    return got.body


async def test_a_connection_serves_many_requests() -> None:
    async with Peer(GOOD) as peer, fetcher() as client:
        for _ in range(9):
            assert body_of(await client.fetch(Request(peer.url))) == b"<p>page"
    assert peer.connections == 1


async def test_no_more_connections_are_used_at_once_than_allowed() -> None:
    async with Peer((ASKED, TURNS, PAGE) * 9) as peer, fetcher(connections=2) as client:
        await asyncio.gather(*(client.fetch(Request(peer.url)) for _ in range(6)))
    assert peer.most_open == 2


UNSOLICITED = answer(b"<p>not asked for")


@pytest.mark.parametrize(
    "script",
    [
        (ASKED, PAGE + UNSOLICITED, MARK, HANG),
        (ASKED, PAGE, TURNS, UNSOLICITED, MARK, HANG),
        (ASKED, PAGE, TURNS, UNSOLICITED[:-5], MARK, HANG),
        (ASKED, PAGE, TURNS, b"<p>garbage", MARK, HANG),
    ],
)
async def test_bytes_that_nobody_asked_for_are_no_answer(script: Script) -> None:
    """They would become the next page's, and its items would stand under the wrong URL."""
    async with Peer(script, (ASKED, answer(b"<p>asked for"))) as peer, fetcher() as client:
        assert body_of(await client.fetch(Request(f"{peer.url}1"))) == b"<p>page"
        await peer.marked.wait()
        await turns()
        assert body_of(await client.fetch(Request(f"{peer.url}2"))) == b"<p>asked for"


@pytest.mark.parametrize("end", [(RESET,), ()])
async def test_a_connection_that_closes_as_it_is_used_again_costs_no_attempt(end: Script) -> None:
    """A server may close an idle connection at any moment, also at the one when a request is on its way."""
    async with Peer((ASKED, PAGE, ASKED, *end), GOOD) as peer, fetcher() as client:
        await client.fetch(Request(peer.url))
        assert isinstance(await client.fetch(Request(peer.url)), Response)
    assert (len(peer.requests), peer.connections) == (3, 2)


async def test_what_is_not_idempotent_is_never_repeated() -> None:
    async with Peer((ASKED, PAGE, ASKED, RESET), GOOD) as peer, fetcher() as client:
        await client.fetch(Request(peer.url))
        got = await client.fetch(Request(peer.url, method="POST", body=b"order=1"))
    assert isinstance(got, Failure)
    assert (got.reason, got.retryable) == ("connection_reset", True)
    assert len(peer.requests) == 2


@pytest.mark.parametrize("end", [(RESET,), ()])
async def test_a_new_connection_that_fails_is_one_attempt(end: Script) -> None:
    """aiohttp would send such a request twice, which neither pace nor the count of attempts would see."""
    async with Peer((ASKED, *end)) as peer, fetcher() as client:
        assert isinstance(await client.fetch(Request(peer.url)), Failure)
    assert len(peer.requests) == 1


async def test_a_new_connection_that_fails_is_one_attempt_also_after_one_that_was_used_again() -> None:
    async with Peer((ASKED, PAGE, ASKED, PAGE), (ASKED, RESET)) as peer, fetcher() as client:
        for _ in range(2):
            assert isinstance(await client.fetch(Request(peer.url)), Response)
        await peer.until_open(0)
        await turns()
        assert isinstance(await client.fetch(Request(peer.url)), Failure)
    assert len(peer.requests) == 3


async def test_a_request_is_repeated_once() -> None:
    """RFC 9112 section 9.3.1 asks for that much restraint; a later attempt is the frontier's to give."""
    async with Peer((ASKED, TURNS, PAGE, ASKED, RESET)) as peer, fetcher() as client:
        await asyncio.gather(*(client.fetch(Request(peer.url)) for _ in range(3)))
        assert peer.connections == 3
        got = await client.fetch(Request(peer.url))
    assert isinstance(got, Failure)
    assert (got.reason, got.retryable) == ("connection_reset", True)
    assert len(peer.requests) == 5


@pytest.mark.parametrize("script", [(CHUNKED, TURNS, b"lots\r\nof it"), (CHUNKED + b"lots\r\nof it",)])
async def test_a_chunk_without_a_size_ends_the_wait_for_it(script: Script) -> None:
    """aiohttp closes the connection and leaves the reader waiting: without help, until the deadline."""
    async with Peer((ASKED, *script, HANG)) as peer, fetcher(timeout_s=30) as client:
        got = await client.fetch(Request(peer.url))
    assert isinstance(got, Failure)
    assert (got.reason, got.retryable) == ("bad_framing", True)


async def test_idle_connections_are_kept_for_a_bounded_number_of_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crawl of many hosts would run out of file descriptors within the seconds that idle connections are kept."""
    monkeypatch.setattr(connector, "_MAX_IDLE_HOSTS", 3)
    async with Peer((*GOOD, HANG)) as peer:
        hosts = [f"h{number}.test" for number in range(8)]
        resolve = tuple(Resolve(host=host, port=peer.port, address="127.0.0.1") for host in hosts)
        async with AioFetcher(FetchOptions(resolve=resolve), OPEN_GATE, 4) as client:
            for host in hosts:
                await client.fetch(Request(f"http://{host}:{peer.port}/"))
            await peer.until_open(3)
            await client.fetch(Request(f"http://{hosts[-1]}:{peer.port}/"))
            assert peer.connections == 8  # the latest are the ones that are kept


NOT_FOUND = "404 Not Found"


@pytest.mark.parametrize(
    "unwanted",
    [
        answer(b"sorry", status=NOT_FOUND),
        b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsorry\r\n0\r\n\r\n",
        answer(b"GIF89a", "Content-Type: image/gif"),
        answer(b"x" * 60_000, "Content-Type: image/gif"),
    ],
)
async def test_a_small_body_that_nobody_wants_leaves_its_connection_usable(unwanted: bytes) -> None:
    head, _, body = unwanted.partition(b"\r\n\r\n")
    script = (ASKED, head + b"\r\n\r\n" + body[:3], TURNS, body[3:], ASKED, PAGE)
    async with Peer(script) as peer, fetcher() as client:
        assert not isinstance(await client.fetch(Request(peer.url)), Response)
        assert isinstance(await client.fetch(Request(peer.url)), Response)
    assert peer.connections == 1


@pytest.mark.parametrize(
    "script",
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 100000\r\n\r\nstart",),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\nstart",),
        (b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n1ffff\r\n" + b"x" * 0x1FFFF,),
        (b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsorry\r\n", TURNS, b"no size"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\nstart", TURNS, RESET),
    ],
)
async def test_no_body_that_nobody_wants_is_waited_for(script: Script) -> None:
    """The answer is known; a body that is large, late or broken costs its connection and no more."""
    async with Peer((ASKED, *script, HANG), GOOD) as peer, fetcher() as client:
        got = await client.fetch(Request(peer.url))
        assert isinstance(got, Failure)
        assert got.reason == "http_404"
        assert isinstance(await client.fetch(Request(peer.url)), Response)
    assert peer.connections == 2


async def test_an_unwanted_body_is_read_no_further_than_a_connection_is_worth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "_DISCARD_S", 30.0)
    endless = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n1ffff\r\n" + b"x" * 0x1FFFF
    async with Peer((ASKED, endless, HANG)) as peer, fetcher(timeout_s=5) as client:
        got = await client.fetch(Request(peer.url))
    assert isinstance(got, Failure)
    assert got.reason == "http_404"
