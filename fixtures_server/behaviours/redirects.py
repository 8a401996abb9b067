"""Redirects: where they lead, and what goes along."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from fixtures_server.behaviours.behaviour import Behaviour, Case, Group, case, page
from fixtures_server.exchange import HTML_HEADERS

if TYPE_CHECKING:
    from fixtures_server.exchange import Exchange


async def redirect(exchange: Exchange) -> None:
    """Redirects: `hops` (1) of them with the status `code` (302), the last leads `to` (/) as it is written.

    To be followed up to a bound, each hop checked as a new URL would be: its scheme, its scope, the robots.txt of its
    host. 301 and 302 make a POST a GET without a body; 307 and 308 do not.
    """
    request = exchange.request
    hops = request.integer("hops", 1, low=1, high=1000)
    code = request.integer("code", 302, low=300, high=399)
    location = request.text("to", "/")
    if hops > 1:
        location = f"{request.path}?{urlencode({'hops': hops - 1, 'code': code, 'to': location})}"
    await _lead(exchange, location, code)


async def redirect_loop(exchange: Exchange) -> None:
    """Redirects in a circle of `length` (2) addresses.

    To be left when it comes back to where it was, or after a bounded number of hops.
    """
    length = exchange.request.integer("length", 2, low=1, high=1000)
    at = exchange.request.integer("at", 0, low=0, high=1000)
    query = urlencode({"length": length, "at": (at + 1) % length})
    await _lead(exchange, f"{exchange.request.path}?{query}")


async def redirect_nowhere(exchange: Exchange) -> None:
    """A redirect without a Location.

    A failure: its body is no page.
    """
    await exchange.respond(page(exchange), status=302)


async def another_origin(exchange: Exchange) -> None:
    """Redirects to /echo on this port by another name of this machine.

    Authorization, Cookie and Proxy-Authorization belong to the origin that they were given for, and must not come
    along: the page shows what did. The other name is out of the scope of most crawls, and its address is private, so
    that not to follow is right as well.
    """
    host, _, port = exchange.request.headers.host.rpartition(":")
    other = "127.0.0.1" if host == "localhost" else "localhost"
    await _lead(exchange, f"http://{other}:{port}/echo")


async def private_address(exchange: Exchange) -> None:
    """Redirects `to` (this server at [::ffff:127.0.0.1]) an address that is not public, after `hops` (1) hops.

    To be refused by the address that would be connected to, at every hop, however it is written, unless the user named
    that host: otherwise a page sends the crawler into the network that it runs in, and brings home what it finds
    there, such as a cloud's credentials at 169.254.169.254. At most of these addresses nobody answers; the one
    without parameters shows a client that does not look.
    """
    request = exchange.request
    hops = request.integer("hops", 1, low=1, high=1000)
    here = f"http://[::ffff:127.0.0.1]:{request.headers.host.rpartition(':')[2]}/faults/ok?at=a-private-address"
    location = request.text("to", here)
    if hops > 1:
        location = f"{request.path}?{urlencode({'hops': hops - 1, 'to': location})}"
    await _lead(exchange, location)


async def _lead(exchange: Exchange, location: str, code: int = 302) -> None:
    await exchange.respond(page(exchange), status=code, headers=(("Location", location), *HTML_HEADERS))


def _followed(**parameters: str | float) -> Case:
    """A redirect to a page that no other case leads to, so that it ends as a page and not as a duplicate."""
    return case(**parameters, to="/faults/ok?" + urlencode(parameters))


_ADDRESSES = (
    "http://127.0.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://0/",
    "http://\u2460\u2461\u2466.0.0.1/",  # digits in circles, which a host is normalised from
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://10.0.0.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fc00::1]/",
    "http://[64:ff9b::7f00:1]/",
)
# Refused for the scope alone nothing was looked up, and nothing connected to.
_REFUSED = ("failed:private_address", "skipped:out_of_scope")

GROUP = Group(
    "redirects",
    "Redirects and credentials",
    "A redirect is a stranger's word about where to go next. It must not lead out of http and https, nor round and "
    "round, nor carry what was meant for one origin to another.",
    (
        Behaviour(
            redirect,
            (
                _followed(code=301),
                _followed(code=302),
                _followed(code=303),
                _followed(code=307),
                _followed(code=308),
                _followed(hops=3),
                _followed(hops=10),
                case("failed:too_many_redirects", hops=30, to="/faults/ok?hops=30"),
                case("failed:redirect_scheme", to="file:///etc/hostname"),
                case("failed:redirect_scheme", to="data:text/html,<title>data</title>"),
                case("failed:redirect_scheme", to="javascript:alert(1)"),
                case("failed:redirect_scheme", to="gopher://127.0.0.1:70/1"),
                case("failed:bad_redirect", to="http://["),
                case("failed:bad_redirect", to="http://host:port/"),
                case("skipped:out_of_scope", "failed:dns", to="http://elsewhere.invalid/"),
            ),
        ),
        Behaviour(redirect_loop, (case("failed:redirect_loop"), case("failed:redirect_loop", length=1))),
        Behaviour(redirect_nowhere, (case("failed:bad_redirect"),)),
        Behaviour(another_origin, (case(*_REFUSED, "done"),)),
    ),
)

ADDRESSES = Group(
    "addresses",
    "Addresses that are not public",
    "Many ways to write the address of this machine, and of networks that only machines inside of them reach.",
    (
        Behaviour(
            private_address,
            (
                case(*_REFUSED),
                *(case(*_REFUSED, to=address) for address in _ADDRESSES),
                case(*_REFUSED, hops=3, to="http://10.0.0.1/"),
            ),
        ),
    ),
)
