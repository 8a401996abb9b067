"""Where a redirect leads, and what goes along."""

import base64

import pytest

from scraper.fetch.redirects import Hop, hop_to, next_hop
from scraper.fetch.refused import Refused

HOP = Hop("http://a.test/dir/page?q=1", "GET", (), None)
SECRETS = (("Authorization", "Basic x"), ("COOKIE", "a=b"), ("proxy-authorization", "y"))
POST = Hop(
    "http://a.test/form", "POST", (("X-Kind", "k"), ("Content-Type", "text/csv"), ("content-language", "en")), b"1,2"
)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://b.test/", "http://b.test/"),
        ("/root", "http://a.test/root"),
        ("sibling", "http://a.test/dir/sibling"),
        ("?q=2", "http://a.test/dir/page?q=2"),
        ("//b.test/x", "http://b.test/x"),
        ("next#part", "http://a.test/dir/next"),
        ("HTTPS://B.test", "https://b.test/"),
        (" http://b.test/ ", "http://b.test/"),
        ("../%7Euser/ü", "http://a.test/%7Euser/%C3%BC"),
    ],
)
def test_a_location_is_resolved_against_the_hop(location: str, expected: str) -> None:
    assert next_hop(HOP, 302, location).url == expected


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "data:text/html,x",
        "javascript:alert(1)",
        "gopher://a.test/",
        " FTP://a.test/",
        "x-y+z.1:a",
    ],
)
def test_no_redirect_leads_out_of_http(location: str) -> None:
    with pytest.raises(Refused) as caught:
        next_hop(HOP, 302, location)
    assert caught.value.reason == "redirect_scheme"


@pytest.mark.parametrize("location", [None, "http://", "http://[", "http://a.test:99999/", "http://a b/"])
def test_a_redirect_to_no_url_is_bad(location: str | None) -> None:
    with pytest.raises(Refused) as caught:
        next_hop(HOP, 301, location)
    assert caught.value.reason == "bad_redirect"


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_post_becomes_a_get_without_body(status: int) -> None:
    """As every browser does it, and as WHATWG Fetch has written it down."""
    hop = next_hop(POST, status, "/done")
    assert hop == Hop("http://a.test/done", "GET", (("X-Kind", "k"),), None)


@pytest.mark.parametrize("status", [307, 308])
def test_a_post_stays_a_post_where_the_status_says_so(status: int) -> None:
    assert next_hop(POST, status, "/done") == POST._replace(url="http://a.test/done")


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [
        ("HEAD", 303, "HEAD"),
        ("HEAD", 301, "HEAD"),
        ("PUT", 303, "GET"),
        ("PUT", 302, "PUT"),
        ("DELETE", 301, "DELETE"),
    ],
)
def test_other_methods_change_only_by_303(method: str, status: int, expected: str) -> None:
    assert next_hop(POST._replace(method=method), status, "/done").method == expected


@pytest.mark.parametrize(
    "location", ["http://b.test/", "https://a.test/", "http://a.test:8080/", "http://sub.a.test/", "//a.test.evil/"]
)
def test_credentials_stay_behind_when_the_origin_changes(location: str) -> None:
    headers = (*SECRETS, ("X-Kind", "k"))
    hop = next_hop(HOP._replace(headers=headers), 302, location)
    assert hop.headers == (("X-Kind", "k"),)
    back = next_hop(hop, 302, HOP.url)
    assert back.headers == (("X-Kind", "k"),)


@pytest.mark.parametrize("location", ["/other", "http://a.test:80/", "http://A.TEST/"])
def test_credentials_stay_within_the_origin(location: str) -> None:
    assert next_hop(HOP._replace(headers=SECRETS), 307, location).headers == SECRETS


def basic(pair: str) -> tuple[str, str]:
    return "Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"


@pytest.mark.parametrize(
    ("url", "clean", "pair"),
    [
        ("http://user:pass@a.test/x", "http://a.test/x", "user:pass"),
        ("http://user@a.test:81/", "http://a.test:81/", "user:"),
        ("http://:pass@a.test/", "http://a.test/", ":pass"),
        ("http://%C3%BC:p%40ss%3A@a.test/", "http://a.test/", "ü:p@ss:"),
    ],
)
def test_credentials_in_a_url_become_basic_authentication(url: str, clean: str, pair: str) -> None:
    assert hop_to(url, "GET", (), None) == Hop(clean, "GET", (basic(pair),), None)


@pytest.mark.parametrize("url", ["http://a.test/@me", "http://a.test/?mail=me@b.test"])
def test_an_at_sign_elsewhere_is_no_credential(url: str) -> None:
    assert hop_to(url, "GET", (), None) == Hop(url, "GET", (), None)


def test_a_header_wins_over_credentials_in_the_url() -> None:
    headers = (("authorization", "Bearer t"),)
    assert hop_to("http://u:p@a.test/", "GET", headers, None) == Hop("http://a.test/", "GET", headers, None)


def test_a_redirect_may_bring_credentials_of_its_own() -> None:
    hop = next_hop(HOP._replace(headers=SECRETS), 302, "http://u:p@b.test/")
    assert hop == Hop("http://b.test/", "GET", (basic("u:p"),), None)
