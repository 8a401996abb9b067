"""Which IP addresses are public, and what a user's lists of networks and hosts say: pure functions over text.

An address is *private* here when it is not public: not one that leads to the same place from anywhere on the Internet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from scraper.errors import InvalidOption

# What `is_global` takes for public on at least one Python from 3.11 on. Where Pythons differ in parts of a block it is
# the whole block, so that all give the same answer: the blocks changed in 3.11.10, 3.12.4 and 3.13.1.
_NOT_GLOBAL_V4 = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments: once a part of it, then all but .9 and .10
    IPv4Network("192.88.99.0/24"),  # the former relays of 6to4, RFC 7526
    IPv4Network("224.0.0.0/4"),  # multicast
    IPv4Network("168.63.129.16/32"),  # looks public, and is the host below each virtual machine of Azure
)
_NOT_GLOBAL_V6 = (
    IPv6Network("2001::/23"),  # protocol assignments, Teredo among them: once all of it, then with exceptions
    IPv6Network("2002::/16"),  # 6to4, which holds an IPv4 address: once none of it
    IPv6Network("3fff::/20"),  # documentation, RFC 9637: once none of it
)
# All that was ever given out for unicast. `is_global` names blocks that are not public, and so lets pass what nobody
# has: IPv4-compatible and IPv4-translated addresses, site-local ones, multicast.
_UNICAST_V6 = IPv6Network("2000::/3")
# RFC 6052: what a network without IPv4 sends there reaches the IPv4 address in its last 32 bits.
_NAT64 = IPv6Network("64:ff9b::/96")

# A crawl asks at each request, of as many addresses as it has connections: that costs 20 µs once, then 1 µs.
_CACHED = 1_024

_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
# The URL Standard reads a host that ends in one as an IPv4 address.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def is_ip_address(text: str) -> bool:
    """Whether a text is an IPv4 or IPv6 address, as the name service gives them."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=_CACHED)
def is_public(address: str) -> bool:
    """Whether an IP address is public.

    An IPv6 address that stands for an IPv4 one (IPv4-mapped, NAT64) is what that is. Other forms with an IPv4 address
    in them (6to4, Teredo, IPv4-compatible, IPv4-translated) are out of use, and private.

    Raises:
        ValueError: it is no IP address.
    """
    meant = _forms(address)[-1]
    if isinstance(meant, IPv4Address):
        return meant.is_global and not any(meant in network for network in _NOT_GLOBAL_V4)
    return meant.is_global and meant in _UNICAST_V6 and not any(meant in network for network in _NOT_GLOBAL_V6)


@lru_cache(maxsize=_CACHED)
def _forms(address: str) -> tuple[IPv4Address | IPv6Address, ...]:
    """The address, and the IPv4 address that it stands for if it does."""
    written = ip_address(address)
    if isinstance(written, IPv6Address):
        mapped = written.ipv4_mapped
        if mapped is None and written in _NAT64:
            mapped = IPv4Address(int(written) & 0xFFFF_FFFF)
        if mapped is not None:
            return written, mapped
    return (written,)


class AddressRules:
    """What a user allows and denies.

    Args:
        allow_private: allows every address.
        allow, deny: networks such as "10.0.0.0/8", addresses, and hosts such as "intranet.example".

    Raises:
        InvalidOption: an entry is none of these.
    """

    def __init__(self, *, allow_private: bool, allow: Iterable[str], deny: Iterable[str]) -> None:
        self._allows_all = allow_private
        self._allowed = _Places("allow", allow)
        self._denied = _Places("deny", deny)

    def denies(self, host: str, address: str) -> bool:
        """Whether a host, or the address that it led to, is on the deny list."""
        return self._denied.has(host, address)

    def denies_host(self, host: str) -> bool:
        """Whether a host is on the deny list by its name, wherever it leads."""
        return self._denied.has_host(host)

    def allows(self, host: str, address: str) -> bool:
        """Whether the address is public, or the host or the address on the allow list."""
        return self._allows_all or is_public(address) or self._allowed.has(host, address)


class _Places:
    def __init__(self, name: str, entries: Iterable[str]) -> None:
        self._networks: list[IPv4Network | IPv6Network] = []
        self._hosts: set[str] = set()
        for entry in entries:
            try:
                self._networks.append(ip_network(entry))
            except ValueError:
                self._hosts.add(_host(name, entry))

    def has_host(self, host: str) -> bool:
        return bool(self._hosts) and host.removesuffix(".") in self._hosts

    def has(self, host: str, address: str) -> bool:
        if self.has_host(host):
            return True
        return bool(self._networks) and any(form in network for form in _forms(address) for network in self._networks)


def _host(name: str, entry: str) -> str:
    host = entry.lower().removesuffix(".")
    if _HOST.fullmatch(host) is None or _NUMBER.fullmatch(host.rpartition(".")[2]) is not None:
        raise InvalidOption(
            f"{name} {entry!r} is neither a network nor a host: write one such as 10.0.0.0/8 or intranet.example"
        )
    return host
