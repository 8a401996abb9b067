"""Which addresses are public, on every Python alike, and what lists of networks and hosts match."""

import pytest

from scraper.addresses import AddressRules, is_ip_address, is_public
from scraper.errors import InvalidOption
from scraper.options import AddressOptions, FetchOptions, Resolve

# The first and the last address of each block that is not public.
PRIVATE = [
    ("0.0.0.0", "0.255.255.255"),  # this network
    ("10.0.0.0", "10.255.255.255"),
    ("100.64.0.0", "100.127.255.255"),  # carrier-grade NAT
    ("127.0.0.0", "127.255.255.255"),
    ("168.63.129.16", "168.63.129.16"),  # Azure's host
    ("169.254.0.0", "169.254.255.255"),  # link-local, with the metadata of clouds
    ("172.16.0.0", "172.31.255.255"),
    ("192.0.0.0", "192.0.0.255"),  # protocol assignments
    ("192.0.2.0", "192.0.2.255"),  # documentation
    ("192.88.99.0", "192.88.99.255"),
    ("192.168.0.0", "192.168.255.255"),
    ("198.18.0.0", "198.19.255.255"),  # benchmarks
    ("198.51.100.0", "198.51.100.255"),
    ("203.0.113.0", "203.0.113.255"),
    ("224.0.0.0", "255.255.255.255"),  # multicast, reserved, broadcast
    ("::", "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff"),  # unspecified, loopback, IPv4-compatible, IPv4-translated
    ("64:ff9b:0:0:0:1::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),  # a site's own NAT64, discard-only, nobody's
    ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),  # protocol assignments, Teredo
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),  # 6to4
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
    # Not given out, then segment routing, unique local, link-local, site-local, multicast.
    ("4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
]
# Inside of these blocks: what Pythons see differently, or what somebody might try.
PRIVATE_TOO = [
    "192.0.0.8",
    "192.0.0.9",
    "192.0.0.10",
    "192.0.0.170",
    "192.0.0.192",  # Oracle's metadata
    "100.100.100.200",  # Alibaba's
    "169.254.169.254",
    "255.255.255.255",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "100:0:0:1::1",
    "2001::1",
    "2001:1::1",
    "2001:2::1",
    "2001:3::1",
    "2001:4:112::1",
    "2001:10::1",
    "2001:20::1",
    "2001:30::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",  # Amazon's metadata
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
# Just outside of these blocks, and some well-known ones.
PUBLIC = [
    *("1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0"),
    *("168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0"),
    *("191.255.255.255", "192.0.1.0", "192.0.1.255", "192.0.3.0", "192.88.98.255", "192.88.100.0"),
    *("192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0"),
    *("203.0.112.255", "203.0.114.0", "223.255.255.255"),
    *("2000::", "2000:ffff::", "2001:200::", "2001:db7:ffff::", "2001:db9::", "2001:ffff::", "2003::"),
    *("3ffe:ffff::", "3fff:1000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    *("1.1.1.1", "8.8.8.8", "93.184.215.14", "192.31.196.1"),
    *("2001:4860:4860::8888", "2606:4700:4700::1111", "2620:4f:8000::1", "2a00:1450:4001:830::200e"),
]
IPV4_WITHIN = ["::ffff:{}", "64:ff9b::{}"]


@pytest.mark.parametrize(("first", "last"), PRIVATE)
def test_what_is_private_is_so_to_its_edges(first: str, last: str) -> None:
    assert not is_public(first)
    assert not is_public(last)


@pytest.mark.parametrize("address", PRIVATE_TOO)
def test_what_is_inside_of_a_private_block_is_private(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_the_rest_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("form", IPV4_WITHIN)
def test_an_address_that_stands_for_another_is_what_that_is(form: str) -> None:
    """Some Pythons look at the outer address, some at the inner one, and some at this for that property."""
    for first, last in PRIVATE:
        if ":" not in first:
            assert not is_public(form.format(first))
            assert not is_public(form.format(last))
    for address in PUBLIC:
        if ":" not in address:
            assert is_public(form.format(address))


def rules(*, allow_private: bool = False, allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()) -> AddressRules:
    return AddressRules(allow_private=allow_private, allow=allow, deny=deny)


MATCHES = [
    ("10.0.0.0/8", "any.test", "10.255.255.255"),
    ("10.0.0.0/255.0.0.0", "any.test", "10.255.255.255"),
    ("10.0.0.5", "any.test", "10.0.0.5"),
    ("10.0.0.0/8", "any.test", "::ffff:10.0.0.5"),
    ("10.0.0.0/8", "any.test", "64:ff9b::10.0.0.5"),
    ("fd00::/8", "any.test", "fd00::5"),
    ("fe80::/10", "any.test", "fe80::5%eth0"),
    ("intranet.test", "intranet.test", "10.0.0.5"),
    ("Intranet.TEST.", "intranet.test", "10.0.0.5"),
    ("intranet.test", "intranet.test.", "fd00::5"),
    ("localhost", "localhost", "127.0.0.1"),
]
MISSES = [
    ("10.0.0.0/8", "any.test", "192.168.0.1"),
    ("10.0.0.5", "any.test", "10.0.0.6"),
    ("0.0.0.0/0", "any.test", "fd00::5"),
    ("::/0", "any.test", "10.0.0.5"),
    ("intranet.test", "a.intranet.test", "10.0.0.5"),
    ("intranet.test", "intranet.test.evil.test", "10.0.0.5"),
]


@pytest.mark.parametrize(("entry", "host", "address"), MATCHES)
def test_an_entry_matches_addresses_of_its_network_or_its_host(entry: str, host: str, address: str) -> None:
    assert rules(allow=(entry,)).allows(host, address)
    assert rules(deny=(entry,)).denies(host, address)


@pytest.mark.parametrize(("entry", "host", "address"), MISSES)
def test_an_entry_matches_nothing_else(entry: str, host: str, address: str) -> None:
    assert not rules(allow=(entry,)).allows(host, address)
    assert not rules(deny=(entry,)).denies(host, address)


def test_without_lists_public_addresses_are_allowed_and_nothing_is_denied() -> None:
    assert rules().allows("any.test", "8.8.8.8")
    assert not rules().allows("any.test", "10.0.0.5")
    assert not rules().denies("any.test", "10.0.0.5")
    assert rules(allow_private=True).allows("any.test", "10.0.0.5")


@pytest.mark.parametrize("name", ["allow", "deny"])
@pytest.mark.parametrize(
    "entry",
    ["", ".", "10.0.0.5/8", "10.0.0.0/33", "10.1", "0x7f000001", "a b", "http://a.test/", "a.test:80", "ä.test"],
)
def test_an_entry_that_is_neither_is_refused(name: str, entry: str) -> None:
    with pytest.raises(InvalidOption, match=f"^{name} .* is neither a network nor a host: write one such as"):
        AddressOptions(**{name: (entry,)})  # type: ignore[arg-type]


def test_a_fixed_address_is_an_address() -> None:
    """A name would be looked up when it is connected to, which is after its check."""
    FetchOptions(resolve=(Resolve(host="a.test", port=80, address="fd00::5"),))
    with pytest.raises(InvalidOption, match=r"resolve a\.test:80: 'localhost' is not an IP address"):
        FetchOptions(resolve=(Resolve(host="a.test", port=80, address="localhost"),))


@pytest.mark.parametrize(("text", "expected"), [("10.0.0.5", True), ("::1", True), ("127.1", False), ("a", False)])
def test_what_is_an_ip_address(text: str, expected: bool) -> None:
    assert is_ip_address(text) is expected
