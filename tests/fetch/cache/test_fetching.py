"""The cache in front of real servers: what the second attempt gives, and what the server saw of it."""

import asyncio
from pathlib import Path

import pytest

from fixtures_server import FixtureServer
from scraper.errors import CacheRefused
from scraper.fetch import AioFetcher, OpenGate
from scraper.model import CacheCounts, Failure, Request, Response, Skip
from scraper.options import CacheModeName, CacheOptions, FetchOptions, OriginOptions
from tests.fetch.attempt import OPEN_GATE, attempt
from tests.fetch.peer import Peer, Script, Step, answer

ASKED, RESET = Step.ASKED, Step.RESET
PAGE = answer(b"<p>page")


@pytest.fixture
def replay(tmp_path: Path) -> CacheOptions:
    return CacheOptions(path=tmp_path / "cache")


@pytest.fixture
def revalidate(tmp_path: Path) -> CacheOptions:
    return CacheOptions(path=tmp_path / "cache", mode="revalidate")


@pytest.fixture
def only(tmp_path: Path) -> CacheOptions:
    return CacheOptions(path=tmp_path / "cache", mode="only")


def without_network(result: Response | Failure | Skip) -> object:
    """What of a result does not depend on where it came from."""
    if isinstance(result, Response):
        headers = tuple(pair for pair in result.headers if pair[0].lower() not in ("connection", "transfer-encoding"))
        return result._replace(headers=headers, latency_s=None, wire_bytes=0)
    if isinstance(result, Failure):
        return result.stage, result.reason, result.detail, result.retryable
    return result


@pytest.mark.parametrize("mode", ["replay", "only"])
@pytest.mark.parametrize(
    "path",
    [
        "ok",
        "until-close",
        "chunked",
        "gzip",
        "br",
        "zstd",
        "stacked-encodings",
        "no-content-type",
        "redirect?hops=3&to=/faults/ok",
        "redirect?code=308&to=/faults/gzip",
        "redirect?hops=11",
        "redirect?to=file:///etc/hostname",
        "redirect-loop",
        "redirect-nowhere",
        "status?code=404",
        "status?code=410",
        "not-html",
        "json",
    ],
)
async def test_the_second_attempt_gives_the_same_and_asks_nobody(
    site: FixtureServer, replay: CacheOptions, path: str, mode: CacheModeName
) -> None:
    url = f"{site.url}faults/{path}"
    first = await attempt(url, cache=replay)
    await site.reset()
    second = await attempt(url, cache=CacheOptions(path=replay.path, mode=mode))
    assert await site.access_log() == []
    assert without_network(second) == without_network(first)
    if isinstance(second, Response):
        assert (second.latency_s, second.wire_bytes) == (None, 0)


@pytest.mark.parametrize(
    "path",
    [
        "status?code=500",
        "status?code=503",
        "status?code=403",
        "status?code=429",
        "reset",
        "length-too-long",
        "gzip-bomb",
    ],
)
async def test_what_failed_for_the_moment_is_tried_again(
    site: FixtureServer, replay: CacheOptions, only: CacheOptions, path: str
) -> None:
    url = f"{site.url}faults/{path}"
    await attempt(url, cache=replay, max_body_bytes=100_000)
    missing = await attempt(url, cache=only)
    assert isinstance(missing, Failure)
    assert missing.reason == "not_cached"
    await site.reset()
    await attempt(url, cache=replay, max_body_bytes=100_000)
    assert await site.access_log()


async def test_what_another_request_skipped_is_fetched_for_one_that_wants_it(
    site: FixtureServer, replay: CacheOptions
) -> None:
    url = f"{site.url}faults/json"
    assert isinstance(await attempt(url, cache=replay), Skip)
    wanted = Request(url, accept="application/json")
    for _ in range(2):
        got = await attempt(wanted, cache=replay)
        assert isinstance(got, Response)
        assert got.body.startswith(b"{")
    assert await attempt(url, cache=replay) == Skip("content_type", "application/json")


async def test_a_page_that_did_not_change_is_confirmed(revalidate: CacheOptions) -> None:
    page = answer(b"<p>page", 'ETag: "1"', "Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT", "Cache-Control: no-cache")
    held = answer(b"", 'ETag: "1"', "X-New: 1", status="304 Not Modified").replace(b"Content-Length: 0\r\n", b"")
    fetcher = AioFetcher(FetchOptions(cache=revalidate), OPEN_GATE, 1)
    async with Peer((ASKED, page, ASKED, held)) as peer, fetcher:
        first, second = [await fetcher.fetch(Request(peer.url)) for _ in range(2)]
    assert fetcher.cache_counts == CacheCounts(revalidated=1, stored=1)
    assert isinstance(first, Response)
    assert isinstance(second, Response)
    assert (second.url, second.status, second.body) == (first.url, 200, first.body)
    assert ("X-New", "1") in second.headers
    assert second.latency_s is not None
    assert b'If-None-Match: "1"\r\nIf-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT\r\n' in peer.requests[1]


async def test_a_page_that_changed_is_fetched(revalidate: CacheOptions) -> None:
    old, new = (answer(f"<p>{tag}".encode(), f'ETag: "{tag}"', "Cache-Control: max-age=0") for tag in ("old", "new"))
    fetcher = AioFetcher(FetchOptions(cache=revalidate), OPEN_GATE, 1)
    async with Peer((ASKED, old, ASKED, new, ASKED, new)) as peer, fetcher:
        got = [await fetcher.fetch(Request(peer.url)) for _ in range(3)]
    assert [page.body for page in got if isinstance(page, Response)] == [b"<p>old", b"<p>new", b"<p>new"]
    assert b'If-None-Match: "new"' in peer.requests[2]


async def test_an_answer_that_nobody_asked_about_is_no_confirmation(revalidate: CacheOptions) -> None:
    async with Peer((ASKED, answer(b"", status="304 Not Modified"))) as peer:
        got = await attempt(peer.url, cache=revalidate)
    assert isinstance(got, Failure)
    assert got.reason == "http_304"


async def test_a_redirect_that_is_stored_may_be_out_of_scope_by_now(replay: CacheOptions) -> None:
    """The gate is asked for stored hops as for others."""

    class Gate(OpenGate):
        def __init__(self, refusal: Skip | None) -> None:
            self.refusal = refusal
            self.asked: list[str] = []

        async def hop(self, request: Request, url: str) -> Skip | None:
            self.asked.append(url)
            return self.refusal

    moved = answer(b"", "Location: /b", status="302 Found")
    async with Peer((ASKED, moved, ASKED, PAGE)) as peer:
        for refusal in (None, Skip("out_of_scope", "/b")):
            gate = Gate(refusal)
            got = await attempt(peer.url, gate, cache=replay)
            assert gate.asked == [f"{peer.url}b"]
    assert got == Skip("out_of_scope", "/b")
    assert len(peer.requests) == 2


async def test_a_location_of_other_bytes_leads_to_the_same_place(replay: CacheOptions) -> None:
    moved = answer(b"", "Location: /stra\xdfe", status="301 Moved").replace("\xdf".encode(), b"\xdf")
    async with Peer((ASKED, moved, ASKED, PAGE)) as peer:
        first, second = [await attempt(peer.url, cache=replay) for _ in range(2)]
    assert isinstance(first, Response)
    assert isinstance(second, Response)
    assert first.url == second.url == f"{peer.url}stra%DFe"
    assert len(peer.requests) == 2


async def test_a_page_behind_an_origins_password_is_not_kept(replay: CacheOptions) -> None:
    async with Peer((ASKED, PAGE, ASKED, PAGE)) as peer:
        origin = OriginOptions(origin=peer.url.rstrip("/"), auth=("user", "secret-1"))
        async with AioFetcher(FetchOptions(cache=replay, origins=(origin,)), OPEN_GATE, 1) as fetcher:
            for _ in range(2):
                assert isinstance(await fetcher.fetch(Request(peer.url)), Response)
    assert len(peer.requests) == 2


async def test_an_origins_headers_select_its_answers(replay: CacheOptions) -> None:
    async with Peer((ASKED, answer(b"<p>page", "Vary: X-Key"))) as peer:
        for key, count in (("one", 1), ("one", 1), ("two", 2)):
            origin = OriginOptions(origin=peer.url.rstrip("/"), headers={"X-Key": key})
            await attempt(peer.url, cache=replay, origins=(origin,))
            assert len(peer.requests) == count


@pytest.mark.parametrize(
    ("userinfo", "headers"), [("user:secret-1@", {}), ("", {"Authorization": "secret-1"}), ("", {"Cookie": "secret-1"})]
)
async def test_a_page_behind_a_password_is_not_kept(
    replay: CacheOptions, userinfo: str, headers: dict[str, str]
) -> None:
    async with Peer((ASKED, PAGE, ASKED, PAGE)) as peer:
        url = peer.url.replace("://", f"://{userinfo}")
        async with AioFetcher(FetchOptions(cache=replay, headers=headers), OPEN_GATE, 1) as fetcher:
            for _ in range(2):
                assert isinstance(await fetcher.fetch(Request(url)), Response)
    assert len(peer.requests) == 2
    assert b"page" not in Path(replay.path).read_bytes()


async def test_a_header_that_an_answer_depends_on_may_be_the_crawls_own(replay: CacheOptions) -> None:
    script: Script = (ASKED, answer(b"<p>page", "Vary: User-Agent"))
    async with Peer(script) as peer:
        for agent, count in (("one", 1), ("one", 1), ("two", 2)):
            await attempt(peer.url, cache=replay, user_agent=agent)
            assert len(peer.requests) == count


async def test_what_is_stored_is_no_larger_than_what_may_be_fetched(replay: CacheOptions) -> None:
    async with Peer((ASKED, answer(b"<p>" + bytes(1000)))) as peer:
        await attempt(peer.url, cache=replay)
        got = await attempt(peer.url, cache=replay, max_body_bytes=500)
    assert isinstance(got, Failure)
    assert got.reason == "body_too_large"


async def test_a_cache_that_is_refused_leaves_nothing_open(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    path.write_bytes(b"no database" * 100)
    with pytest.raises(CacheRefused):
        await attempt("http://127.0.0.1:1/", cache=CacheOptions(path=path))
    assert path.read_bytes() == b"no database" * 100


async def test_what_is_under_way_when_the_fetcher_closes_does_no_harm(replay: CacheOptions) -> None:
    async with Peer((ASKED, PAGE), (ASKED, PAGE), (ASKED, PAGE), (ASKED, Step.HANG)) as peer:
        async with AioFetcher(FetchOptions(cache=replay), OPEN_GATE, 4) as fetcher:
            tasks = [asyncio.create_task(fetcher.fetch(Request(f"{peer.url}{number}"))) for number in range(4)]
            await peer.until_asked(4)
        ended = await asyncio.gather(*tasks)
    assert {"closed"} >= {end.reason for end in ended if isinstance(end, Failure)}
    for number, end in enumerate(ended):
        if isinstance(end, Response):
            assert isinstance(await attempt(f"{peer.url}{number}", cache=replay), Response)
