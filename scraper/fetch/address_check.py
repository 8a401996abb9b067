"""Whether a host may be connected to at an address."""

from __future__ import annotations

from scraper.addresses import is_ip_address
from scraper.fetch.protocol import IsNamed
from scraper.fetch.refused import Refused
from scraper.options import AddressOptions

# A name may have 253 characters, and the end of the sentence says what to do.
_MAX_SHOWN = 70


class AddressCheck:
    """Keeps a page on the Internet from sending the crawl into the network that it runs in.

    Permitted are public addresses, those of a host and port that the user named, and what the options allow. What
    they deny never is.

    It must be asked for the address that is connected to: a name that was looked up for the check could lead elsewhere
    a moment later. Where a proxy looks the name up, there is none; then `refusal_of_name` says what can be said.

    Args:
        options: what the user allows and denies.
        is_named: which hosts and ports the user named; None: all of them, so that only the deny list refuses.
    """

    def __init__(self, options: AddressOptions, is_named: IsNamed | None) -> None:
        self._rules = options.rules()
        self._is_named = is_named

    def refusal(self, host: str, port: int, address: str) -> Refused | None:
        """Why a connection is refused; None if it is permitted.

        Args:
            host: as it stands in a canonical URL, an IPv6 address without its brackets.
            port: of the URL.
            address: the IP address that the host led to.
        """
        host_port = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if self._rules.denies(host, address):
            return Refused("denied_address", f"refused: {_found(host_port, host, address)} on the deny list")
        if self._is_named is None or self._is_named(host_port) or self._rules.allows(host, address):
            return None
        return Refused(
            "private_address",
            f"refused: {_found(host_port, host, address)} a private address; "
            "name it as a start URL or give --allow-private",
        )

    def refusal_of_name(self, host: str, port: int) -> Refused | None:
        """Why a host is not asked for through a proxy: it is an IP address that is refused, or on the deny list."""
        if is_ip_address(host):
            return self.refusal(host, port, host)
        if self._rules.denies_host(host):
            return Refused("denied_address", f"refused: {host[:_MAX_SHOWN]} is on the deny list")
        return None


def _found(host_port: str, host: str, address: str) -> str:
    shown = host_port.removesuffix(":80").removesuffix(":443")
    if len(shown) > _MAX_SHOWN:
        shown = f"{shown[:_MAX_SHOWN]}…"
    return f"{shown} is" if host == address else f"{shown} is {address},"
