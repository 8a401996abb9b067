"""What is one origin's alone goes to no other, and what is a proxy's alone to no site."""

import base64
from typing import Any

import pytest

from scraper import urls
from scraper.errors import InvalidOption
from scraper.fetch import AioFetcher
from scraper.fetch.origins import Origins
from scraper.model import Failure, Request, Response
from scraper.options import AddressOptions, FetchOptions, OriginOptions, Resolve
from tests.fetch.attempt import OPEN_GATE, attempt
from tests.fetch.peer import Peer, Script, Step, answer

ASKED, RESET = Step.ASKED, Step.RESET
PAGE = answer(b"<p>page")
SERVES: Script = (ASKED, PAGE) * 4


def basic(pair: str) -> bytes:
    return b"Basic " + base64.b64encode(pair.encode())


def fields(request: bytes) -> dict[str, bytes]:
    """Of a request, with names in lower case; each may come once."""
    pairs = [line.split(b": ", 1) for line in request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]]
    found = {name.decode().lower(): value for name, value in pairs}
    assert len(found) == len(pairs)
    return found


def moved(url: str) -> bytes:
    return answer(b"", f"Location: {url}", status="302 Found")


@pytest.mark.parametrize(
    ("origin", "matches", "others"),
    [
        (
            "https://Example.org",
            ["https://example.org/a?b", "https://example.org:443/"],
            [
                "http://example.org/",
                "https://example.org:444/",
                "https://www.example.org/",
                "https://example.org.evil/",
            ],
        ),
        ("http://127.0.0.1:8080/", ["http://127.0.0.1:8080/"], ["http://127.0.0.1/", "http://127.0.0.2:8080/"]),
        ("http://[::1]:80", ["http://[::1]/"], ["https://[::1]/"]),
        ("https://bücher.example", ["https://xn--bcher-kva.example/"], []),
        (
            "HTTPS://*.example.org",
            ["https://www.example.org/", "https://a.b.example.org/"],
            ["https://example.org/", "https://badexample.org/", "http://www.example.org/", "https://a.example.org:8/"],
        ),
        ("https://*.example.org:8443", ["https://a.example.org:8443/"], ["https://a.example.org/"]),
    ],
)
def test_which_urls_an_origin_has(origin: str, matches: list[str], others: list[str]) -> None:
    origins = Origins(FetchOptions(origins=(OriginOptions(origin=origin, headers={"X-Key": "1"}),)))
    found = [url for url in matches + others if origins.headers(urls.canonical(url))]
    assert found == matches


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "example.org",
        "example.org:443",
        "ftp://example.org",
        "https://example.org/path",
        "https://example.org/?q",
        "https://user:s3cret@example.org",
        "https://*.127.0.0.1",
        "https://*.[::1]",
        "https://*",
        "https://*.",
        "https://a.*.org",
        "https://exa mple.org",
    ],
)
def test_what_is_no_origin(origin: str) -> None:
    with pytest.raises(InvalidOption, match="write one such as") as caught:
        AioFetcher(FetchOptions(origins=(OriginOptions(origin=origin),)), OPEN_GATE, 1)
    assert "s3cret" not in str(caught.value)


def test_the_first_entry_of_an_origin_counts() -> None:
    entries = (
        OriginOptions(origin="https://www.example.org", headers={"X-Key": "one"}),
        OriginOptions(origin="https://*.example.org", headers={"X-Key": "all"}),
    )
    origins = Origins(FetchOptions(origins=entries))
    assert origins.headers("https://www.example.org/") == (("X-Key", "one"),)
    assert origins.headers("https://a.example.org/") == (("X-Key", "all"),)
    assert origins.headers("https://example.org/") == ()


async def test_what_is_an_origins_goes_with_every_hop_to_it_and_to_no_other() -> None:
    async with Peer((ASKED, PAGE)) as last, Peer() as other, Peer() as peer:
        peer.scripts = ((ASKED, moved("/b"), ASKED, moved(other.url)),)
        other.scripts = ((ASKED, moved(last.url)),)
        mine = OriginOptions(origin=peer.url, headers={"X-Key": "k", "User-Agent": "mine"}, auth=("ü", "p:w"))
        theirs = OriginOptions(origin=last.url, headers={"X-Key": "theirs"})
        assert isinstance(await attempt(peer.url, origins=(mine, theirs)), Response)
    assert len(peer.requests) == 2
    for request in peer.requests:
        found = fields(request)
        assert (found["x-key"], found["user-agent"]) == (b"k", b"mine")
        assert found["authorization"] == basic("ü:p:w")
    (request,) = other.requests
    assert not {"x-key", "authorization"} & set(fields(request))
    assert fields(request)["user-agent"] != b"mine"
    (request,) = last.requests
    assert fields(request)["x-key"] == b"theirs"
    assert "authorization" not in fields(request)


async def test_a_redirect_back_finds_the_credentials_again() -> None:
    async with Peer() as other, Peer() as peer:
        peer.scripts = ((ASKED, moved(other.url), ASKED, PAGE),)
        other.scripts = ((ASKED, moved(f"{peer.url}back")),)
        await attempt(peer.url, origins=(OriginOptions(origin=peer.url, auth=("u", "p")),))
    assert [fields(request).get("authorization") for request in peer.requests] == [basic("u:p")] * 2
    assert "authorization" not in fields(other.requests[0])


async def test_a_request_goes_before_its_origin_and_the_origin_before_the_crawl() -> None:
    async with Peer(SERVES) as peer:
        options: dict[str, Any] = {
            "headers": {"Authorization": "all", "X-Key": "all", "Cookie": "all=1"},
            "origins": (OriginOptions(origin=peer.url, headers={"x-key": "origin", "Cookie": "a=1"}, auth=("u", "p")),),
        }
        await attempt(peer.url, **options)
        await attempt(Request(peer.url, headers={"authorization": "mine", "X-KEY": "mine"}), **options)
        await attempt(f"http://url:pw@127.0.0.1:{peer.port}/", **options)
    first, second, third = map(fields, peer.requests)
    assert (first["authorization"], first["x-key"], first["cookie"]) == (basic("u:p"), b"origin", b"a=1")
    assert (second["authorization"], second["x-key"]) == (b"mine", b"mine")
    assert third["authorization"] == basic("url:pw")


async def test_the_credentials_of_a_seed_are_its_origins() -> None:
    """As a browser sends them to the whole site, of which the links do not have them."""
    async with Peer(SERVES) as other, Peer((ASKED, PAGE, ASKED, moved(other.url))) as peer:
        fetcher = AioFetcher(FetchOptions(), OPEN_GATE, 1)
        async with fetcher:
            seed = f"http://me:s%3Acret@127.0.0.1:{peer.port}/seed"
            assert fetcher.keep_credentials(seed) == f"{peer.url}seed"
            assert fetcher.keep_credentials(other.url) == other.url
            for path in ("seed", "link"):
                await fetcher.fetch(Request(peer.url + path))
        async with fetcher:
            await fetcher.fetch(Request(f"{peer.url}later"))
    found = [fields(request).get("authorization") for request in peer.requests]
    assert found == [basic("me:s:cret"), basic("me:s:cret"), None]
    assert "authorization" not in fields(other.requests[0])


async def test_the_options_go_before_the_credentials_of_a_seed() -> None:
    async with Peer(SERVES) as peer:
        mine = OriginOptions(origin=peer.url, headers={"X-Key": "k"}, auth=("mine", "p"))
        async with AioFetcher(FetchOptions(origins=(mine,)), OPEN_GATE, 1) as fetcher:
            fetcher.keep_credentials(f"http://me:s3cret@127.0.0.1:{peer.port}/")
            await fetcher.fetch(Request(peer.url))
    assert fields(peer.requests[0])["authorization"] == basic("mine:p")


@pytest.mark.parametrize("headers", [{"bad name": "x"}, {"X": "a\nb"}])
def test_an_origins_headers_are_checked_before_the_crawl(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidOption):
        AioFetcher(FetchOptions(origins=(OriginOptions(origin="https://a.test", headers=headers),)), OPEN_GATE, 1)


def test_a_user_name_cannot_hold_a_colon() -> None:
    with pytest.raises(InvalidOption, match="colon"):
        OriginOptions(origin="https://a.test", auth=("a:b", "c"))


@pytest.mark.parametrize(
    "proxy",
    [
        "",
        "s3cret",
        "127.0.0.1:3128",
        "https://u:s3cret@proxy.test",
        "socks5://u:s3cret@proxy.test",
        "http://u:s3cret@",
        "http://u:s3cret@proxy.test:port",
        "http://u:s3cret@proxy.test:99999",
        "http://u:s3cret@proxy.test/path",
        "http://u:s3cret@[::1",
    ],
)
def test_what_is_no_proxy(proxy: str) -> None:
    for make in (lambda: FetchOptions(proxy=proxy), lambda: OriginOptions(origin="https://a.test", proxy=proxy)):
        with pytest.raises(InvalidOption, match="proxy must be") as caught:
            make()
        assert "s3cret" not in str(caught.value)


async def test_a_proxy_is_asked_for_everything_and_gets_its_own_credentials() -> None:
    async with Peer(SERVES) as proxy:
        url = f"http://me:s%3Acret@127.0.0.1:{proxy.port}"
        got = await attempt("http://nowhere.invalid/a?b", proxy=url, is_named=lambda _: False)
    assert isinstance(got, Response)
    assert got.url == "http://nowhere.invalid/a?b"
    assert proxy.requests[0].startswith(b"GET http://nowhere.invalid/a?b HTTP/1.1\r\n")
    found = fields(proxy.requests[0])
    assert found["host"] == b"nowhere.invalid"
    assert found["proxy-authorization"] == basic("me:s:cret")
    assert "authorization" not in found


async def test_a_connection_to_a_proxy_is_used_again_also_for_other_hosts_redirects() -> None:
    async with Peer((ASKED, moved("/b"), ASKED, PAGE)) as proxy:
        got = await attempt("http://a.invalid/", proxy=proxy.url, is_named=lambda _: False)
    assert isinstance(got, Response)
    assert proxy.connections == 1


async def test_a_tunnel_is_opened_without_what_is_the_sites() -> None:
    async with Peer((ASKED, b"HTTP/1.1 200 OK\r\n\r\n", RESET)) as proxy:
        url = f"http://me:s3cret@127.0.0.1:{proxy.port}"
        mine = OriginOptions(origin="https://nowhere.invalid", headers={"X-Key": "k"}, auth=("u", "p"))
        got = await attempt("https://nowhere.invalid/a", proxy=url, origins=(mine,), is_named=lambda _: False)
    assert isinstance(got, Failure)
    assert proxy.requests[0].startswith(b"CONNECT nowhere.invalid:443 HTTP/1.1\r\n")
    found = fields(proxy.requests[0])
    assert found["proxy-authorization"] == basic("me:s3cret")
    assert not {"x-key", "authorization"} & set(found)
    assert "s3cret" not in repr(got)


@pytest.mark.parametrize("refusal", [answer(b"", status="407 Who"), answer(b"", status="502 Bad Gateway")])
async def test_a_proxy_that_opens_no_tunnel_is_a_failure_of_its_own(refusal: bytes) -> None:
    async with Peer((ASKED, refusal)) as proxy:
        got = await attempt("https://nowhere.invalid/", proxy=f"http://me:s3cret@127.0.0.1:{proxy.port}")
    assert isinstance(got, Failure)
    assert (got.reason, got.retryable) == ("proxy", True)
    assert "s3cret" not in repr(got)


async def test_no_proxy_listens() -> None:
    got = await attempt("http://nowhere.invalid/", proxy="http://me:s3cret@127.0.0.1:1")
    assert isinstance(got, Failure)
    assert got.reason == "proxy"
    assert "s3cret" not in repr(got)


async def test_a_proxy_may_be_one_origins() -> None:
    async with Peer(SERVES) as proxy, Peer(SERVES) as peer:
        mine = OriginOptions(origin="http://nowhere.invalid", proxy=proxy.url)
        async with AioFetcher(FetchOptions(origins=(mine,)), OPEN_GATE, 4) as fetcher:
            for url in (peer.url, "http://nowhere.invalid/", peer.url):
                assert isinstance(await fetcher.fetch(Request(url)), Response)
    assert (len(proxy.requests), len(peer.requests)) == (1, 2)


def nothing(_: str) -> bool:
    return False


@pytest.mark.parametrize("host", ["10.0.0.5", "169.254.169.254", "[::1]", "0x7f000001"])
async def test_a_proxy_is_not_asked_for_private_addresses_that_are_named_by_nobody(host: str) -> None:
    async with Peer(SERVES) as proxy:
        url = urls.canonical(f"http://{host}/")
        got = await attempt(url, proxy=proxy.url, is_named=nothing)
        assert isinstance(got, Failure)
        assert got.reason == "private_address"
        assert proxy.requests == []
        assert isinstance(await attempt(url, proxy=proxy.url, is_named=lambda _: True), Response)


async def test_a_proxy_is_not_asked_for_what_is_denied_and_may_be_denied_itself() -> None:
    """The deny list says what is not crawled; a proxy that was named is no part of the crawl."""
    denied = AddressOptions(deny=("intranet.test", "127.0.0.0/8"))
    async with Peer(SERVES) as proxy:
        got = await attempt("http://intranet.test/", proxy=proxy.url, addresses=denied)
        assert isinstance(got, Failure)
        assert got.reason == "denied_address"
        assert proxy.requests == []
        assert isinstance(await attempt("http://other.test/", proxy=proxy.url, addresses=denied), Response)


async def test_naming_a_proxy_opens_its_address_to_no_link() -> None:
    async with Peer(SERVES) as proxy:
        resolve = (Resolve(host="proxy.test", port=proxy.port, address="127.0.0.1"),)
        mine = OriginOptions(origin="http://nowhere.invalid", proxy=f"http://proxy.test:{proxy.port}")
        options = FetchOptions(origins=(mine,), resolve=resolve)
        async with AioFetcher(options, OPEN_GATE, 4, nothing) as fetcher:
            assert isinstance(await fetcher.fetch(Request("http://nowhere.invalid/")), Response)
            got = await fetcher.fetch(Request(f"http://proxy.test:{proxy.port}/"))
    assert isinstance(got, Failure)
    assert got.reason == "private_address"
    assert len(proxy.requests) == 1


def test_no_secret_is_shown() -> None:
    options = FetchOptions(
        headers={"X-Key": "s3cret"},
        proxy="http://me:s3cret@proxy.test",
        origins=(
            OriginOptions(
                origin="https://a.test",
                headers={"Cookie": "s3cret"},
                auth=("me", "s3cret"),
                proxy="http://me:s3cret@proxy.test",
            ),
        ),
    )
    assert "s3cret" not in repr(options)
    assert "https://a.test" in repr(options)
    assert "s3cret" not in repr(AioFetcher(options, OPEN_GATE, 1))
