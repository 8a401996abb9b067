from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from scraper import urls
from scraper.errors import InvalidURL
from scraper.model import Request
from scraper.options import ScopeName
from scraper.urls import Scope

WPT = Path(__file__).parents[2] / "shared/data/urls/urltestdata.json"

BASE = "http://example.org/a/b/page?q"

JOINS = {
    "next": "http://example.org/a/b/next",
    "../up": "http://example.org/a/up",
    "../../../../top": "http://example.org/top",
    "/root": "http://example.org/root",
    "//Other.Example/": "http://other.example/",
    "?x=1": "http://example.org/a/b/page?x=1",
    "": "http://example.org/a/b/page?q",
    "#part": "http://example.org/a/b/page?q",
    "next#part": "http://example.org/a/b/next",
    " next\n": "http://example.org/a/b/next",
    "ne\txt": "http://example.org/a/b/next",
    " x #part": "http://example.org/a/b/x%20",
    "é ü": "http://example.org/a/b/%C3%A9%20%C3%BC",
    "HTTPS://EXAMPLE.ORG:443": "https://example.org/",
    "http:next": "http://example.org/a/b/next",
    "https://münchen.example/": "https://xn--mnchen-3ya.example/",
    "http://0x7f000001/": "http://127.0.0.1/",
    "http://①②⑦.0.0.1/": "http://127.0.0.1/",
    "http://[::FFFF:7f00:1]:8080/": "http://[::ffff:7f00:1]:8080/",
    "http://user:pw@example.org/": "http://user:pw@example.org/",
    "a\0b": "http://example.org/a/b/a%00b",
    "a\ud800b": "http://example.org/a/b/a%EF%BF%BDb",
    "http://xn--pokxncvks/x": "http://xn--pokxncvks/x",
}

REFUSED = ["http://", "http://[::1", "http://a b/", "https://example.org:99999/", "http://1.2.3.256/", "http://%zz/"]

OTHER_SCHEMES = ["mailto:a@example.org", "javascript:void(0)", "data:,x", "ftp://example.org/", "tel:+1", "file:///etc"]


@pytest.mark.parametrize(("reference", "expected"), JOINS.items())
def test_join_gives_the_canonical_url(reference: str, expected: str) -> None:
    assert urls.join(BASE, reference) == expected


@pytest.mark.parametrize("reference", REFUSED + OTHER_SCHEMES)
def test_join_refuses_what_is_no_http_url(reference: str) -> None:
    assert urls.join(BASE, reference) is None


def test_a_base_with_invalid_punycode_can_be_joined_to() -> None:
    """The standard takes such ASCII hosts as they are; the faster parser does not."""
    assert urls.join("http://xn--pokxncvks/a", "b") == "http://xn--pokxncvks/b"
    assert urls.join_all("http://xn--pokxncvks/a", ["b", "http://["]) == (["http://xn--pokxncvks/b"], 1)


def wpt_cases() -> list[tuple[str, str, str | None]]:
    """Base, reference and the canonical URL that the web platform's suite gives; None for what a crawler refuses:
    malformed references, and other schemes."""
    cases = [case for case in json.loads(WPT.read_text()) if isinstance(case, dict)]
    return [
        (
            case["base"] or "about:blank",
            case["input"],
            case["href"].partition("#")[0] if case.get("protocol") in ("http:", "https:") else None,
        )
        for case in cases
    ]


# Names of cases that are right for a browser and wrong for a crawler, with the reason. There are none: the fragment,
# which a crawler does without, is cut off on both sides.
WPT_EXCEPTIONS: dict[tuple[str, str], str] = {}


@pytest.mark.skipif(not WPT.exists(), reason="the web platform's test data is not at hand")
def test_the_web_platform_tests_agree() -> None:
    cases = [case for case in wpt_cases() if case[:2] not in WPT_EXCEPTIONS]
    assert sum(expected is not None for *_, expected in cases) >= 247
    assert sum(expected is None for *_, expected in cases) >= 600
    assert [case for case in cases if urls.join(*case[:2]) != case[2]] == []
    assert [case for case in cases if urls.join_all(case[0], [case[1]])[0] != [case[2]][: case[2] is not None]] == []


@pytest.mark.skipif(not WPT.exists(), reason="the web platform's test data is not at hand")
def test_what_the_web_platform_tests_give_stays_as_it_is() -> None:
    results = [expected for *_, expected in wpt_cases() if expected is not None]
    assert [url for url in results if urls.canonical(url) != url] == []


@pytest.mark.skipif(not WPT.exists(), reason="the web platform's test data is not at hand")
def test_malformed_references_are_counted_and_other_schemes_are_not() -> None:
    for case in json.loads(WPT.read_text()):
        if isinstance(case, dict) and (case["base"] or "").startswith("http"):  # as the base of every page does
            assert urls.join_all(case["base"], [case["input"]])[1] == bool(case.get("failure")), case


def test_join_all_is_join_on_each_without_duplicates_and_in_order() -> None:
    references = [*JOINS, *REFUSED, *OTHER_SCHEMES, *JOINS]
    expected = list(dict.fromkeys(url for each in references if (url := urls.join(BASE, each)) is not None))
    found, refused = urls.join_all(BASE, references)
    assert found == expected
    assert refused == len(REFUSED)


def test_a_url_of_a_trap_is_refused_by_its_length() -> None:
    longest = "http://example.org/".ljust(urls.MAX_URL_CHARS, "x")
    assert urls.join(BASE, longest) == longest
    assert urls.join(BASE, longest + "x") is None
    assert urls.join_all(BASE, [longest + "x", "y"]) == (["http://example.org/a/b/y"], 1)
    with pytest.raises(InvalidURL, match="8,193 characters"):
        urls.canonical(longest + "x")


@pytest.mark.parametrize("url", [url for url in JOINS.values() if "xn--pok" not in url])
def test_a_canonical_url_stays_as_it_is(url: str) -> None:
    assert urls.canonical(url) == url


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("example.org", "is not an absolute URL: write one such as https://"),
        ("", "is not an absolute URL"),
        ("http://", "is not an absolute URL"),
        ("ftp://example.org/", "has the scheme ftp: only http and https"),
        ("mailto:x@example.org", "has the scheme mailto"),
    ],
)
def test_a_wrong_url_is_told_what_to_change(text: str, said: str) -> None:
    with pytest.raises(InvalidURL, match=said):
        urls.canonical(text)


def test_a_password_does_not_reach_the_message() -> None:
    with pytest.raises(InvalidURL) as caught:
        urls.canonical("http://user:secret@bad host/")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host_port", "origin"),
    [
        ("http://example.org/", "example.org:80", "http://example.org"),
        ("https://example.org/x:1/y", "example.org:443", "https://example.org"),
        ("https://example.org:8443/", "example.org:8443", "https://example.org:8443"),
        ("http://u:p@example.org:81/@", "example.org:81", "http://example.org:81"),
        ("http://[::1]/", "[::1]:80", "http://[::1]"),
        ("http://[::1]:8080/", "[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_host_and_origin(url: str, host_port: str, origin: str) -> None:
    assert urls.host_port(url) == host_port
    assert urls.origin(url) == origin


def test_a_folder_ends_with_the_last_slash_of_the_path() -> None:
    assert urls.folder("http://example.org/a/b/c.html?x=/y/z") == "http://example.org/a/b/"
    assert urls.folder("http://example.org/") == "http://example.org/"


def test_credentials_are_cut_out_and_nothing_else() -> None:
    assert urls.without_credentials("http://u:p@example.org:81/a@b?c@d") == "http://example.org:81/a@b?c@d"
    assert urls.without_credentials("http://example.org/a@b") == "http://example.org/a@b"


def test_a_site_may_move_to_https_or_to_www() -> None:
    assert urls.is_same_site("http://example.org/a", "https://www.example.org/b")
    assert not urls.is_same_site("http://example.org/", "http://example.org:81/")
    assert not urls.is_same_site("http://example.org/", "http://www2.example.org/")


def test_a_plain_request_is_known_by_its_url() -> None:
    assert urls.fingerprint(Request("HTTP://example.org:80/a#b")) == "http://example.org/a"
    assert urls.fingerprint(Request("http://example.org/", data={"a": 1}, priority=3)) == "http://example.org/"


def test_method_and_body_make_requests_different() -> None:
    url = "http://example.org/"
    requests = [
        Request(url),
        Request(url, method="HEAD"),
        Request(url, method="POST"),
        Request(url, method="POST", body=b""),
        Request(url, method="POST", body=b"a"),
        Request(url, body=b"a"),
    ]
    assert len({urls.fingerprint(request) for request in requests}) == len(requests)
    assert urls.fingerprint(requests[4]) == urls.fingerprint(Request(url, method="post", body=b"a"))


def test_a_dedup_key_wins() -> None:
    assert urls.fingerprint(Request("http://example.org/?session=1", dedup_key="x")) == "x"


def scope(kind: ScopeName, *seeds: str) -> Scope:
    made = Scope(kind)
    for seed in seeds:
        made.include(seed)
    return made


def test_prefix_scope_is_the_seeds_folder() -> None:
    docs = scope("prefix", "http://example.org/docs/index.html?x=/y/")
    assert docs.admits("http://example.org/docs/")
    assert docs.admits("https://example.org/docs/deep/er?q")
    assert not docs.admits("http://example.org/docs")
    assert not docs.admits("http://example.org/docsother/")
    assert not docs.admits("http://example.org/")
    assert not docs.admits("http://example.org:81/docs/")


def test_host_scope_is_host_and_port_by_http_and_https() -> None:
    site = scope("host", "http://example.org/docs/")
    assert site.admits("http://example.org/")
    assert site.admits("https://example.org/other?q")
    assert not site.admits("http://example.org:8080/")
    assert not site.admits("http://www.example.org/")
    assert not site.admits("http://example.org.evil.example/")
    assert scope("host", "http://127.0.0.1:8080/").admits("http://127.0.0.1:8080/x")


def test_credentials_do_not_hide_a_host() -> None:
    for kind in ("host", "prefix"):
        assert scope(kind, "http://example.org/").admits("http://u:p@example.org/")
        assert scope(kind, "http://u:p@example.org/").admits("http://example.org/")
        assert not scope(kind, "http://example.org/").admits("http://example.org@evil.example/")


def test_domain_scope_goes_by_the_public_suffix_list() -> None:
    site = scope("domain", "http://www.example.co.uk/a")
    assert site.admits("https://example.co.uk:8443/")
    assert site.admits("http://u@cdn.example.co.uk/")
    assert not site.admits("http://other.co.uk/")
    assert not site.admits("http://co.uk/")


def test_pages_of_two_people_at_one_provider_are_two_domains() -> None:
    site = scope("domain", "https://alice.github.io/")
    assert site.admits("https://alice.github.io/x")
    assert not site.admits("https://bob.github.io/")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_an_address_or_a_single_name_is_a_domain_of_its_own(host: str) -> None:
    site = scope("domain", f"http://{host}/")
    assert site.admits(f"http://{host}:81/x")
    assert not site.admits("http://10.0.0.1/")
    assert not site.admits("http://[::2]/")


def test_any_scope_admits_everything_and_no_seed_admits_nothing() -> None:
    assert Scope("any").admits("http://example.org/")
    for kind in ("prefix", "host", "domain"):
        assert not Scope(kind).admits("http://example.org/")


def test_seeds_are_remembered() -> None:
    site = scope("host", "http://example.org/a")
    assert site.is_seed("http://example.org/a")
    assert not site.is_seed("http://example.org/")


def test_many_overlapping_folders_admit_what_each_alone_would() -> None:
    """The search goes by one neighbour in a sorted list, which is right only while none contains another."""
    chance = random.Random(7)

    def path() -> str:
        return "".join(chance.choice(["a/", "b/", "ab/", "a", "-/", "0/"]) for _ in range(chance.randrange(5)))

    for _ in range(200):
        seeds = [f"http://h{chance.randrange(2)}/{path()}" for _ in range(chance.randrange(1, 8))]
        folders = scope("prefix", *seeds)
        for _ in range(20):
            url = f"http://h{chance.randrange(2)}/{path()}"
            assert folders.admits(url) == any(url.startswith(urls.folder(seed)) for seed in seeds), (seeds, url)


def test_a_scope_shows_what_it_covers() -> None:
    assert repr(scope("host", "http://example.org/")) == "<Scope host: example.org/>"
    assert repr(Scope("any")) == "<Scope any>"
