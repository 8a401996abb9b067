"""Cookies go back to who set them, and to nobody else."""

import pytest

from scraper.fetch import AioFetcher
from scraper.fetch.cookies import CookieJar
from scraper.model import Failure, Request, Response
from scraper.options import FetchOptions, Resolve
from tests.fetch.attempt import OPEN_GATE, attempt
from tests.fetch.peer import Peer, Step, answer

ASKED = Step.ASKED
SITE = "https://www.example.org/shop/cart"
DAY_S = 86_400.0


class Time:
    """Passes when it is told to."""

    def __init__(self) -> None:
        self.s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def time_() -> Time:
    return Time()


@pytest.fixture
def jar(time_: Time) -> CookieJar:
    return CookieJar(time_)


@pytest.mark.parametrize(
    ("field", "sent"),
    [
        ("a=1", "a=1"),
        ("a=1; Secure; HttpOnly; SameSite=Strict; Partitioned; x=y", "a=1"),
        (" a = 1 ; Path=/", "a=1"),
        ("a=", "a="),
        ("a=b=c", "a=b=c"),
        ('a="b c"', 'a="b c"'),
        ("1", "1"),
        ("=1", "1"),
        ("a=ü", "a=ü"),
        ("a=\t1\t2", "a=1\t2"),
        ("", ""),
        ("=", ""),
        (";a=1", ""),
        ("a=\x00", ""),
        ("a=1\n", ""),
        ("a=1; Path=/\x7f", ""),
        ("a=\udce9", ""),
        ("a=" + "x" * 4_095, "a=" + "x" * 4_095),
        ("a=" + "x" * 4_096, ""),
        ("a=" + "ü" * 2_048, ""),
    ],
)
def test_what_a_field_sets(jar: CookieJar, field: str, sent: str) -> None:
    jar.take(SITE, [field])
    assert jar.header(SITE) == sent


@pytest.mark.parametrize(
    ("url", "domain", "goes_to", "stays_from"),
    [
        (
            SITE,
            None,
            ["https://www.example.org/shop/"],
            ["https://example.org/shop/", "https://a.www.example.org/shop/"],
        ),
        (SITE, "", ["https://www.example.org/shop/"], ["https://a.www.example.org/shop/"]),
        (
            SITE,
            "example.org",
            ["https://example.org/shop/", "https://www.example.org:444/shop/", "https://a.b.example.org/shop/"],
            ["https://badexample.org/shop/", "https://example.org.evil.com/shop/"],
        ),
        (SITE, ".Example.ORG", ["https://example.org/shop/"], []),
        (SITE, "other.org", [], ["https://other.org/shop/", SITE]),
        (SITE, "a.www.example.org", [], ["https://a.www.example.org/shop/", SITE]),
        (SITE, "org", [], ["https://example.org/shop/", SITE]),
        (SITE, "xample.org", [], ["https://xample.org/shop/", SITE]),
        ("https://shop.co.uk/", "co.uk", [], ["https://shop.co.uk/", "https://other.co.uk/"]),
        ("https://me.github.io/", "github.io", [], ["https://me.github.io/", "https://you.github.io/"]),
        ("https://github.io/", "github.io", ["https://github.io/"], ["https://me.github.io/"]),
        ("https://localhost/", "localhost", ["https://localhost/"], ["https://a.localhost/"]),
        ("https://127.0.0.1/", "127.0.0.1", ["https://127.0.0.1:8080/"], ["https://1.127.0.0.1/"]),
        ("https://127.0.0.1/", "0.0.1", [], ["https://127.0.0.1/", "https://1.0.0.1/"]),
        ("https://[::1]/", "[::1]", ["https://[::1]/"], []),
        ("https://[::1]/", "1]", [], ["https://[::1]/"]),
    ],
)
def test_which_hosts_a_cookie_goes_to(
    jar: CookieJar, url: str, domain: str | None, goes_to: list[str], stays_from: list[str]
) -> None:
    jar.take(url, ["a=1" if domain is None else f"a=1; Domain={domain}"])
    assert [jar.header(other) for other in goes_to] == ["a=1"] * len(goes_to)
    assert [jar.header(other) for other in stays_from] == [""] * len(stays_from)


@pytest.mark.parametrize(
    ("attribute", "goes_to", "stays_from"),
    [
        ("", ["/shop/cart", "/shop/", "/shop/a/b?c"], ["/", "/shopping", "/other"]),
        ("; Path=cart", ["/shop/", "/shop"], ["/"]),
        ("; Path=/a", ["/a", "/a/", "/a/b", "/a?b"], ["/ab", "/", "/b/a"]),
        ("; Path=/a/", ["/a/", "/a/b"], ["/a", "/ab"]),
        ("; Path=/x; path=/a", ["/a"], ["/x"]),
        ("; Path=/", ["/", "/a"], []),
        ("; Path=/" + "x" * 1_024, ["/shop/"], ["/"]),
    ],
)
def test_which_paths_a_cookie_goes_to(
    jar: CookieJar, attribute: str, goes_to: list[str], stays_from: list[str]
) -> None:
    jar.take(SITE, [f"a=1{attribute}"])
    assert [path for path in goes_to + stays_from if jar.header(f"https://www.example.org{path}")] == goes_to


def test_a_secure_cookie_stays_within_https(jar: CookieJar) -> None:
    jar.take(SITE, ["a=1; Secure; Path=/"])
    assert jar.header("https://www.example.org/") == "a=1"
    assert jar.header("http://www.example.org/") == ""
    jar.take("http://plain.org/", ["a=1; Secure"])
    assert jar.header("https://plain.org/") == ""


def test_nobody_on_the_way_replaces_or_hides_a_secure_cookie(jar: CookieJar) -> None:
    jar.take(SITE, ["a=good; Secure; Path=/; Domain=example.org"])
    jar.take("http://www.example.org/", ["a=bad; Path=/; Domain=example.org", "a=bad", "a=bad; Path=/shop", "b=1"])
    assert jar.header("https://www.example.org/shop") == "a=good; b=1"
    jar.take(SITE, ["a=changed; Path=/; Domain=example.org"])
    assert jar.header("http://www.example.org/shop") == "a=changed; b=1"


@pytest.mark.parametrize(
    ("url", "field", "is_kept"),
    [
        (SITE, "__Host-a=1; Secure; Path=/", True),
        (SITE, "__Host-a=1; Secure; Path=/; Domain=www.example.org", False),
        (SITE, "__Host-a=1; Secure; Path=/shop", False),
        ("https://www.example.org/", "__Host-a=1; Secure", False),
        (SITE, "__Host-a=1; Path=/", False),
        (SITE, "__hOST-a=1; Path=/", False),
        (SITE, "=__Host-a=1; Secure; Path=/", False),
        (SITE, "__Host-a; Secure; Path=/", False),
        ("http://www.example.org/", "__Host-a=1; Secure; Path=/", False),
        (SITE, "__Secure-a=1; Secure; Domain=example.org", True),
        (SITE, "__Secure-a=1", False),
        (SITE, "__SECURE-a=1", False),
        (SITE, "=__Secure-a=1; Secure", False),
    ],
)
def test_a_prefix_of_its_name_is_a_promise(jar: CookieJar, url: str, field: str, is_kept: bool) -> None:
    jar.take(url, [field])
    assert (len(jar) == 1) is is_kept


@pytest.mark.parametrize(
    ("attributes", "lives_s"),
    [
        ("Max-Age=60", 60),
        ("max-age=60; Max-Age=90", 90),
        ("Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", 60),
        ("Max-Age=99999999999999999999", 400 * DAY_S),
        ("Max-Age=0", 0),
        ("Max-Age=-1", 0),
        ("Expires=Fri, 15 Jan 2027 08:01:00 GMT", 60),
        ("Expires=Friday, 15-Jan-27 08:01:00 GMT", 60),
        ("Expires=Fri Jan 15 08:01:00 2027", 60),
        ("Expires=8:1:0 15 january 2027", 60),
        ("Expires=Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Expires=Fri, 31 Dec 9999 23:59:59 GMT", 400 * DAY_S),
        ("Expires=Sun, 01 Jan 1600 00:00:00 GMT", None),
        ("Expires=Sun, 31 Feb 2027 00:00:00 GMT", None),
        ("Expires=Fri, 15 Jan 2027 25:00:00 GMT", None),
        ("Expires=garbage", None),
        ("Expires=0", None),
        ("Max-Age=1e3", None),
        ("Max-Age=", None),
    ],
)
def test_how_long_a_cookie_lives(jar: CookieJar, time_: Time, attributes: str, lives_s: float | None) -> None:
    """Without a time that can be read it lives as long as the crawl."""
    jar.take(SITE, [f"a=1; {attributes}"])
    if lives_s == 0:
        assert len(jar) == 0
        return
    time_.s += 1e9 if lives_s is None else lives_s - 1
    assert jar.header(SITE) == "a=1"
    if lives_s is not None:
        time_.s += 1
        assert jar.header(SITE) == ""


def test_a_cookie_is_replaced_and_removed(jar: CookieJar) -> None:
    jar.take(SITE, ["a=1", "b=1", "a=2"])
    assert jar.header(SITE) == "a=2; b=1"
    jar.take(SITE, ["a=; Max-Age=0"])
    assert (jar.header(SITE), len(jar)) == ("b=1", 1)
    jar.take(SITE, ["b=; Max-Age=0"])
    assert (jar.header(SITE), len(jar)) == ("", 0)


def test_longer_paths_go_first_then_older_cookies(jar: CookieJar) -> None:
    jar.take(SITE, ["a=1; Path=/", "b=1; Path=/shop", "c=1; Path=/", "d=1; Path=/shop", "a=2; Path=/"])
    assert jar.header(SITE) == "b=1; d=1; a=2; c=1"


def test_a_requests_own_cookies_go_first_and_instead(jar: CookieJar) -> None:
    jar.take(SITE, ["a=1", "b=1", "c=1"])
    assert jar.header(SITE, "b=2; x=1") == "b=2; x=1; a=1; c=1"
    assert jar.header(SITE, "a=2; b=2; c=2") == "a=2; b=2; c=2"
    assert jar.header("https://other.org/", "b=2") == "b=2"


def test_a_site_has_a_bounded_number_of_cookies(jar: CookieJar, time_: Time) -> None:
    """Those that were used longest ago make way; but first what has ended."""
    jar.take(SITE, [f"a{number}=1; Path=/" for number in range(49)])
    jar.take("https://a.example.org/", ["ends=1; Max-Age=60"])
    assert len(jar) == 50
    time_.s += 61
    jar.take(SITE, ["b=1; Path=/used"])
    assert len(jar) == 50
    jar.header("https://www.example.org/unused")  # all but b
    jar.take(SITE, ["c=1; Path=/"])
    sent = jar.header("https://www.example.org/used")
    assert len(jar) == 50
    assert "b=1" not in sent
    assert "a0=1" in sent
    assert "c=1" in sent


def test_ten_thousand_cookies_are_not_kept_and_drive_out_no_other_sites(jar: CookieJar) -> None:
    jar.take(SITE, ["mine=1"])
    for number in range(10_000):
        jar.take(f"https://h{number}.hostile.com/", ["a=1", "b=1; Domain=hostile.com"])
    assert len(jar) == 51
    assert jar.header(SITE) == "mine=1"


def test_all_sites_together_have_a_bounded_number_of_cookies(jar: CookieJar) -> None:
    jar.take(SITE, ["mine=1"])
    for number in range(3_500):
        jar.take(f"https://site{number}.com/", ["a=1"])
        if number % 1_000 == 0:
            jar.header(SITE)  # it is in use
    assert len(jar) == 3_000
    assert jar.header(SITE) == "mine=1"
    assert jar.header("https://site0.com/") == ""
    assert jar.header("https://site3499.com/") == "a=1"


def test_no_value_is_shown(jar: CookieJar) -> None:
    jar.take(SITE, ["a=s3cret"])
    assert repr(jar) == "<CookieJar 1 cookies of 1 sites>"


def cookies_in(request: bytes) -> list[bytes]:
    return [line.partition(b": ")[2] for line in request.split(b"\r\n") if line.lower().startswith(b"cookie:")]


MOVED = "302 Found"


async def test_cookies_are_kept_over_redirects_and_requests_and_stay_with_their_host() -> None:
    script = (
        *(ASKED, answer(b"", "Set-Cookie: a=1; Path=/", "Set-Cookie: b=1; Path=/x", "Location: /x", status=MOVED)),
        *(ASKED, answer(b"<p>", "Set-Cookie: c=1; Path=/")),
        *(ASKED, answer(b"", "Set-Cookie: d=1", status="404 Not Found")),
        *(ASKED, answer(b"<p>")),
    )
    async with Peer(script, (ASKED, answer(b"<p>"))) as peer:
        resolve = tuple(Resolve(host=host, port=peer.port, address="127.0.0.1") for host in ("a.test", "b.test"))
        options = FetchOptions(cookies=True, resolve=resolve, headers={"Cookie": "own=1"})
        async with AioFetcher(options, OPEN_GATE, 1) as fetcher:
            for path in ("start", "x", "x"):
                await fetcher.fetch(Request(f"http://a.test:{peer.port}/{path}"))
            await fetcher.fetch(Request(f"http://b.test:{peer.port}/x", headers={"cookie": "a=mine"}))
    assert [cookies_in(request) for request in peer.requests] == [
        [b"own=1"],
        [b"own=1; b=1; a=1"],
        [b"own=1; b=1; a=1; c=1"],
        [b"own=1; b=1; a=1; c=1; d=1"],
        [b"a=mine"],
    ]


async def test_a_redirect_to_another_host_takes_no_cookie_along_and_finds_its_own() -> None:
    async with Peer((ASKED, answer(b"<p>", "Set-Cookie: a=b")) * 2) as other:
        moved = answer(b"", "Set-Cookie: a=a", f"Location: http://b.test:{other.port}/", status=MOVED)
        async with Peer((ASKED, moved) * 2) as peer:
            resolve = (
                Resolve(host="a.test", port=peer.port, address="127.0.0.1"),
                Resolve(host="b.test", port=other.port, address="127.0.0.1"),
            )
            async with AioFetcher(FetchOptions(cookies=True, resolve=resolve), OPEN_GATE, 1) as fetcher:
                for _ in range(2):
                    got = await fetcher.fetch(Request(f"http://a.test:{peer.port}/"))
                    assert isinstance(got, Response)
    assert [cookies_in(request) for request in peer.requests] == [[], [b"a=a"]]
    assert [cookies_in(request) for request in other.requests] == [[], [b"a=b"]]


@pytest.mark.parametrize("cookies", [True, False])
async def test_a_page_that_leads_to_itself_is_a_loop_unless_a_cookie_is_new(cookies: bool) -> None:
    """Sites do so to see whether a cookie comes back."""
    moved = answer(b"", "Set-Cookie: a=1", "Location: /", status=MOVED)
    async with Peer((ASKED, moved, ASKED, moved, ASKED, answer(b"<p>"))) as peer:
        got = await attempt(peer.url, cookies=cookies)
    assert isinstance(got, Failure)
    assert got.reason == "redirect_loop"
    assert [cookies_in(request) for request in peer.requests] == ([[], [b"a=1"]] if cookies else [[]])


async def test_a_page_that_leads_to_itself_with_a_new_cookie_is_read() -> None:
    moved = answer(b"", "Set-Cookie: a=1", "Location: /", status=MOVED)
    async with Peer((ASKED, moved, ASKED, answer(b"<p>"))) as peer:
        assert isinstance(await attempt(peer.url, cookies=True), Response)
    assert [cookies_in(request) for request in peer.requests] == [[], [b"a=1"]]


async def test_a_fetcher_that_is_opened_again_has_no_cookies() -> None:
    script = (ASKED, answer(b"<p>", "Set-Cookie: a=1"))
    async with Peer(script) as peer:
        fetcher = AioFetcher(FetchOptions(cookies=True), OPEN_GATE, 1)
        for _ in range(2):
            async with fetcher:
                await fetcher.fetch(Request(peer.url))
    assert [cookies_in(request) for request in peer.requests] == [[], []]
