"""No page sends the crawl to a private address: the address that is connected to decides, at every connection."""

import asyncio
import errno
import itertools
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from fixtures_server import FixtureServer
from scraper import urls
from scraper.fetch import AioFetcher, names
from scraper.fetch.address_check import AddressCheck
from scraper.fetch.connector import Connector
from scraper.model import Failure, Request, Response, Skip, Stage
from scraper.options import AddressOptions, FetchOptions, Resolve
from tests.fetch.attempt import OPEN_GATE, attempt
from tests.fetch.peer import Peer, Script, Step, answer, turns

ASKED, HANG = Step.ASKED, Step.HANG
PAGE = answer(b"<p>page")
GOOD: Script = (ASKED, PAGE) * 9
CLOSING: Script = (ASKED, answer(b"<p>page", "Connection: close"))

PUBLIC, ALSO_PUBLIC, PRIVATE = "93.184.215.14", "93.184.215.15", "10.0.0.5"

# As they may stand in a link or in a Location. Each leads to this machine, to its neighbours, or nowhere.
HOSTS = [
    "0x7f000001",
    "2130706433",
    "127.1",
    "0177.0.0.1",
    "①②⑦.0.0.1",
    "127。0。0。1",
    "%31%32%37.0.0.1",
    "127.0.0.1.",
    "127.255.255.254",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::127.0.0.1]",
    "[2002:7f00:1::]",
    "[2001::1]",
    "0",
    "0.0.0.0",
    "[::]",
    "10.0.0.5",
    "172.16.0.1",
    "192.168.0.1",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "169.254.169.254",
    "[fe80::1]",
    "[fec0::1]",
    "100.64.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "[ff02::1]",
    "240.0.0.1",
    "255.255.255.255",
]


class Internet:
    """Every address is this machine, and names lead where the test says.

    Attributes:
        names: the answers to the first, the second and each further look-up, and then anew.
        looked_up: which names were, in order.
        dialled: which addresses were connected to, in order.
        silent: addresses where nobody listens.
    """

    def __init__(self) -> None:
        self.names: dict[str, Iterator[tuple[str, ...]]] = {}
        self.looked_up: list[str] = []
        self.dialled: list[str] = []
        self.silent: set[str] = set()

    def name(self, host: str, *answers: tuple[str, ...]) -> None:
        self.names[host] = itertools.cycle(answers)

    def getaddrinfo(self, host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        self.looked_up.append(host)
        found = next(self.names[host])
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in found
        ]


@pytest.fixture
async def internet(monkeypatch: pytest.MonkeyPatch) -> Internet:
    found = Internet()
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def dial(sock: socket.socket, address: Any) -> None:
        found.dialled.append(address[0])
        if address[0] in found.silent:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "nobody listens")
        here = "::ffff:127.0.0.1" if sock.family is socket.AF_INET6 else "127.0.0.1"
        await connect(sock, (here, address[1]))

    monkeypatch.setattr(loop, "sock_connect", dial)
    monkeypatch.setattr(socket, "getaddrinfo", found.getaddrinfo)
    return found


def nothing(_: str) -> bool:
    """The user named no host."""
    return False


def only(*named: str) -> Callable[[str], bool]:
    return set(named).__contains__


def assert_private(got: Response | Failure | Skip) -> None:
    assert isinstance(got, Failure), got
    assert (got.stage, got.reason, got.retryable) == (Stage.FETCH, "private_address", False)


@pytest.mark.parametrize("host", HOSTS)
async def test_a_link_to_a_private_address_is_refused(internet: Internet, host: str) -> None:
    async with Peer(GOOD) as peer:
        url = urls.canonical(f"http://{host}:{peer.port}/")
        assert_private(await attempt(url, is_named=nothing))
    assert (internet.dialled, peer.connections) == ([], 0)


@pytest.mark.parametrize("host", HOSTS)
async def test_a_redirect_to_a_private_address_is_refused(internet: Internet, site: FixtureServer, host: str) -> None:
    start = urls.host_port(site.url).replace("127.0.0.1", "start.test")
    internet.name("start.test", (PUBLIC,))
    target = f"http://{host}:{start.rpartition(':')[2]}/faults/ok"
    assert_private(await attempt(f"http://{start}/faults/redirect?to={quote(target)}", is_named=nothing))
    assert internet.dialled == [PUBLIC]


@pytest.mark.parametrize("host", [PUBLIC, "start.test"])
async def test_a_public_address_is_not_refused(internet: Internet, site: FixtureServer, host: str) -> None:
    port = urls.host_port(site.url).rpartition(":")[2]
    internet.name("start.test", (PUBLIC,))
    internet.name("end.test", (ALSO_PUBLIC,))
    target = f"http://end.test:{port}/faults/ok"
    got = await attempt(f"http://{host}:{port}/faults/redirect?to={quote(target)}", is_named=nothing)
    assert isinstance(got, Response)
    assert got.url == target
    assert internet.dialled == [PUBLIC, ALSO_PUBLIC]


async def test_every_hop_is_checked(internet: Internet, site: FixtureServer) -> None:
    port = urls.host_port(site.url).rpartition(":")[2]
    internet.name("start.test", (PUBLIC,))
    internet.name("middle.test", (PRIVATE,))
    target = f"http://start.test:{port}/faults/ok"
    for host in ("middle.test", "start.test"):
        target = f"http://{host}:{port}/faults/redirect?to={quote(target, safe='')}"
    assert_private(await attempt(target, is_named=nothing))
    assert internet.dialled == [PUBLIC]


async def test_a_host_and_port_that_the_user_named_may_lead_anywhere(internet: Internet) -> None:
    internet.name("intranet.test", (PRIVATE,))
    async with Peer(GOOD) as peer:
        for host in ("intranet.test", PRIVATE, "127.0.0.1", "0.0.0.0"):
            url = f"http://{host}:{peer.port}/"
            assert isinstance(await attempt(url, is_named=only(urls.host_port(url))), Response)
    assert internet.dialled == [PRIVATE, PRIVATE, "127.0.0.1", "0.0.0.0"]


async def test_what_the_user_named_opens_no_other_port_and_no_other_host(internet: Internet) -> None:
    internet.name("intranet.test", (PRIVATE,))
    internet.name("other.test", (PRIVATE,))
    async with Peer(GOOD) as peer, Peer(GOOD) as neighbour:
        is_named = only(f"intranet.test:{peer.port}")
        assert_private(await attempt(f"http://intranet.test:{neighbour.port}/", is_named=is_named))
        assert_private(await attempt(f"http://other.test:{peer.port}/", is_named=is_named))
        assert_private(await attempt(f"http://{PRIVATE}:{peer.port}/", is_named=is_named))
    assert internet.dialled == []


async def test_a_fetcher_that_cannot_ask_what_was_named_refuses_only_what_is_denied() -> None:
    async with Peer(GOOD) as peer:
        assert isinstance(await attempt(peer.url), Response)
        denied = await attempt(peer.url, addresses=AddressOptions(deny=("127.0.0.1",)))
    assert isinstance(denied, Failure)
    assert denied.reason == "denied_address"


async def test_of_several_addresses_only_public_ones_are_used(internet: Internet) -> None:
    internet.name("both.test", (PRIVATE, "fd00::1", PUBLIC, "127.0.0.1", ALSO_PUBLIC))
    internet.silent.add(PUBLIC)
    async with Peer(GOOD) as peer:
        assert isinstance(await attempt(f"http://both.test:{peer.port}/", is_named=nothing), Response)
    assert internet.dialled == [PUBLIC, ALSO_PUBLIC]


async def test_a_private_address_is_no_way_out_when_the_public_one_fails(internet: Internet) -> None:
    internet.name("both.test", (PRIVATE, PUBLIC))
    internet.silent.add(PUBLIC)
    async with Peer(GOOD) as peer:
        got = await attempt(f"http://both.test:{peer.port}/", is_named=nothing)
    assert isinstance(got, Failure)
    assert got.reason == "connection_refused"
    assert internet.dialled == [PUBLIC]


async def test_a_name_is_looked_up_once_for_its_check_and_its_connection(
    internet: Internet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name service that says one thing to the check and another to the connection (DNS rebinding) gains nothing."""
    monkeypatch.setattr(names, "_TTL_S", -1)
    internet.name("flips.test", (PUBLIC,), (PRIVATE,))
    async with Peer(CLOSING) as peer, AioFetcher(FetchOptions(), OPEN_GATE, 4, nothing) as client:
        url = f"http://flips.test:{peer.port}/"
        for _ in range(3):
            assert isinstance(await client.fetch(Request(url)), Response)
            assert_private(await client.fetch(Request(url)))
    assert internet.looked_up == ["flips.test"] * 6
    assert internet.dialled == [PUBLIC] * 3


@pytest.mark.parametrize("script", [(*GOOD, HANG), CLOSING])
async def test_neither_an_idle_connection_nor_a_known_address_outlives_its_permission(
    internet: Internet, script: Script
) -> None:
    """One crawl may name a host, and the next one not."""
    internet.name("intranet.test", (PRIVATE,))
    async with Peer(script) as peer:
        named = {f"intranet.test:{peer.port}"}
        url = f"http://intranet.test:{peer.port}/"
        async with AioFetcher(FetchOptions(), OPEN_GATE, 4, named.__contains__) as client:
            assert isinstance(await client.fetch(Request(url)), Response)
            named.clear()
            assert_private(await client.fetch(Request(url)))
            await peer.until_open(0)
            assert (peer.connections, len(peer.requests)) == (1, 1)
            named.add(f"intranet.test:{peer.port}")
            assert isinstance(await client.fetch(Request(url)), Response)
    assert internet.looked_up == ["intranet.test"]


async def test_an_idle_connection_that_is_permitted_is_used_again(internet: Internet) -> None:
    internet.name("intranet.test", ("127.0.0.1",))
    options = FetchOptions(addresses=AddressOptions(allow=("127.0.0.0/8",)))
    async with Peer(GOOD) as peer, AioFetcher(options, OPEN_GATE, 4, nothing) as client:
        for _ in range(3):
            assert isinstance(await client.fetch(Request(f"http://intranet.test:{peer.port}/")), Response)
    assert peer.connections == 1


async def test_no_connection_is_made_past_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release of aiohttp that looked names up on another way must not leave the crawl unprotected."""
    monkeypatch.delattr(Connector, "_resolve_host")
    async with Peer(GOOD) as peer:
        got = await attempt(peer.url)
        await turns()
    assert isinstance(got, Failure)
    assert "the address was not checked" in got.detail
    assert peer.connections == 0


async def test_a_fixed_address_is_not_thereby_permitted() -> None:
    async with Peer(GOOD) as peer:
        resolve = (Resolve(host="shop.test", port=peer.port, address="127.0.0.1"),)
        url = f"http://shop.test:{peer.port}/"
        assert_private(await attempt(url, is_named=nothing, resolve=resolve))
        assert isinstance(await attempt(url, is_named=only(f"shop.test:{peer.port}"), resolve=resolve), Response)
        allowed = AddressOptions(allow=("shop.test",))
        assert isinstance(await attempt(url, is_named=nothing, resolve=resolve, addresses=allowed), Response)
    assert peer.connections == 2


A = "a.test"
VERDICTS = [
    (AddressOptions(), PUBLIC, None),
    (AddressOptions(), PRIVATE, "private_address"),
    (AddressOptions(allow_private=True), PRIVATE, None),
    (AddressOptions(allow=("10.0.0.0/8",)), PRIVATE, None),
    (AddressOptions(allow=("10.0.0.0/8",)), "192.168.0.1", "private_address"),
    (AddressOptions(allow=(A,)), "192.168.0.1", None),
    (AddressOptions(deny=(A,)), PUBLIC, "denied_address"),
    (AddressOptions(deny=(PUBLIC,)), PUBLIC, "denied_address"),
    (AddressOptions(deny=(PUBLIC,)), f"::ffff:{PUBLIC}", "denied_address"),
    (AddressOptions(deny=("10.0.0.0/24",), allow=("10.0.0.0/8",)), PRIVATE, "denied_address"),
    (AddressOptions(deny=("10.0.0.0/24",), allow=("10.0.0.0/8",)), "10.9.0.1", None),
    (AddressOptions(deny=("10.0.0.0/8",), allow=(A,)), PRIVATE, "denied_address"),
    (AddressOptions(deny=("10.0.0.0/8",), allow_private=True), PRIVATE, "denied_address"),
]


@pytest.mark.parametrize(("options", "address", "reason"), VERDICTS)
def test_what_is_denied_is_refused_and_what_is_allowed_is_not(
    options: AddressOptions, address: str, reason: str | None
) -> None:
    refusal = AddressCheck(options, nothing).refusal(A, 80, address)
    assert (refusal and refusal.reason) == reason


def test_what_is_denied_is_refused_also_where_the_user_named_it() -> None:
    refusal = AddressCheck(AddressOptions(deny=("10.0.0.0/8",)), only("a.test:80")).refusal(A, 80, PRIVATE)
    assert refusal is not None
    assert refusal.detail == "refused: a.test is 10.0.0.5, on the deny list"


@pytest.mark.parametrize(
    "url", ["http://a.test/", "https://a.test/", "http://a.test.:81/", "http://[::1]/", "http://[::1]:8/"]
)
def test_a_host_and_port_are_asked_for_as_they_stand_in_urls(url: str) -> None:
    host = url.partition("//")[2].rstrip("/").removesuffix(":81").removesuffix(":8").strip("[]")
    port = int(urls.host_port(url).rpartition(":")[2])
    check = AddressCheck(AddressOptions(), only(urls.host_port(url)))
    assert check.refusal(host, port, "127.0.0.1") is None
    assert check.refusal(host, port + 1, "127.0.0.1") is not None


REMEDY = "name it as a start URL or give --allow-private"


@pytest.mark.parametrize(
    ("host", "port", "address", "detail"),
    [
        ("example.test", 80, PRIVATE, f"refused: example.test is 10.0.0.5, a private address; {REMEDY}"),
        ("example.test", 443, PRIVATE, f"refused: example.test is 10.0.0.5, a private address; {REMEDY}"),
        ("localhost", 8000, "::1", f"refused: localhost:8000 is ::1, a private address; {REMEDY}"),
        ("10.0.0.5", 80, "10.0.0.5", f"refused: 10.0.0.5 is a private address; {REMEDY}"),
        ("::1", 8000, "::1", f"refused: [::1]:8000 is a private address; {REMEDY}"),
    ],
)
def test_a_refusal_says_where_it_led_and_what_to_do(host: str, port: int, address: str, detail: str) -> None:
    refusal = AddressCheck(AddressOptions(), nothing).refusal(host, port, address)
    assert refusal is not None
    assert refusal.detail == detail


async def test_a_refusal_of_a_long_name_still_says_what_to_do(internet: Internet) -> None:
    host = ".".join(["label" * 10] * 4)
    internet.name(host, ("fd00:1111:2222:3333:4444:5555:6666:7777",))
    got = await attempt(f"http://{host}:65535/", is_named=nothing)
    assert isinstance(got, Failure)
    assert "fd00:1111:2222:3333:4444:5555:6666:7777" in got.detail
    assert got.detail.endswith(REMEDY)
