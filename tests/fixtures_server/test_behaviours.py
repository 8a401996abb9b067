"""Each named behaviour does what its line says, as seen on the wire."""

import gzip
import json
import re
import socket
import sys
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from http.client import HTTPConnection, IncompleteRead, RemoteDisconnected
from typing import Any
from urllib.parse import urljoin, urlsplit

import brotli
import pytest

from fixtures_server import FixtureServer
from fixtures_server.behaviours import BEHAVIOURS

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Ask = Callable[..., Any]
Send = Callable[[str, bytes], bytes]


def _get(url: str) -> bytes:
    """A request for a URL that leaves the connection open."""
    parts = urlsplit(url)
    return f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def test_an_unknown_behaviour_is_not_found(site: FixtureServer, ask: Ask) -> None:
    assert ask(site.url + "faults/unheard-of").status == 404


@pytest.mark.parametrize("query", ["code=abc", "code=99", "code=1000", "code=404.5", "code=nan", "code=", "code=inf"])
def test_a_wrong_parameter_is_told(site: FixtureServer, ask: Ask, query: str) -> None:
    answer = ask(site.url + "faults/status?" + query)
    assert answer.status == 400
    assert answer.body.startswith(b"code must be")


# Statuses and redirects.


@pytest.mark.parametrize("code", [200, 204, 304, 403, 404, 410, 500, 503, 999])
def test_any_status(site: FixtureServer, ask: Ask, code: int) -> None:
    answer = ask(site.fault("status", code=code))
    assert answer.status == code
    assert bool(answer.body) == (code not in (204, 304))


def test_a_chain_of_redirects_has_its_length_and_ends_where_it_should(site: FixtureServer, ask: Ask) -> None:
    url, codes = site.fault("redirect", hops=4, code=307, to="/page/7"), []
    while (answer := ask(url)).status != 200:
        codes.append(answer.status)
        url = urljoin(url, answer.headers["Location"])
    assert codes == [307] * 4
    assert url == site.url_of(7)


@pytest.mark.parametrize("to", ["file:///etc/passwd", "//[", "page/1", "http://127.0.0.1:1/", "", "/caf\u00e9 \u6771"])
def test_a_redirect_leads_wherever_it_is_told(site: FixtureServer, ask: Ask, to: str) -> None:
    location = ask(site.fault("redirect", to=to)).headers["Location"]
    assert location.encode("latin-1") in (to.encode(), to.encode("latin-1", "replace"))


def test_no_parameter_adds_a_header(site: FixtureServer, ask: Ask) -> None:
    assert ask(site.fault("redirect", to="/\r\nX-Injected: 1")).status == 400


@pytest.mark.parametrize("length", [1, 3])
def test_a_loop_of_redirects_comes_back(site: FixtureServer, ask: Ask, length: int) -> None:
    url = urljoin(site.url, ask(site.fault("redirect-loop", length=length)).headers["Location"])
    seen = [url]
    while (url := urljoin(url, ask(url).headers["Location"])) not in seen:
        seen.append(url)
    assert len(seen) == length


def test_a_redirect_may_lead_nowhere(site: FixtureServer, ask: Ask) -> None:
    answer = ask(site.fault("redirect-nowhere"))
    assert (answer.status, answer.headers["Location"]) == (302, None)


def test_flaky_answers_the_third_time_for_each_key(site: FixtureServer, ask: Ask) -> None:
    asked = [(key, ask(site.fault("flaky", key=key)).status) for key in ("a", "b", "a", "a", "a", "b", "b")]
    assert [status for key, status in asked if key == "a"] == [503, 503, 200, 200]
    assert [status for key, status in asked if key == "b"] == [503, 503, 200]


async def test_flaky_fails_anew_after_a_reset(site: FixtureServer, ask: Ask) -> None:
    url = site.fault("flaky", key="reset", fails=1, code=500)
    assert [ask(url).status, ask(url).status] == [500, 200]
    await site.reset()
    assert ask(url).status == 500


def test_too_many_requests_says_when_to_come_back(site: FixtureServer, ask: Ask) -> None:
    url = site.fault("too-many-requests", key="x", times=2, retry_after="Fri, 31 Dec 1999 23:59:59 GMT")
    answers_ = [ask(url) for _ in range(3)]
    assert [answer.status for answer in answers_] == [429, 429, 200]
    assert [answer.headers["Retry-After"] for answer in answers_] == ["Fri, 31 Dec 1999 23:59:59 GMT"] * 2 + [None]


def test_a_retry_after_may_be_a_date_from_now(site: FixtureServer, ask: Ask) -> None:
    before = datetime.now(UTC)
    told = ask(site.fault("too-many-requests", key="date", date_in_s=3600)).headers["Retry-After"]
    assert told.endswith(" GMT")
    assert 3598 <= (parsedate_to_datetime(told) - before).total_seconds() <= 3660


@pytest.mark.parametrize(("own", "other"), [("127.0.0.1", "localhost"), ("localhost", "127.0.0.1")])
def test_another_origin_is_this_server_by_another_name(site: FixtureServer, send: Send, own: str, other: str) -> None:
    port = urlsplit(site.url).port
    head = f"GET /faults/another-origin HTTP/1.1\r\nHost: {own}:{port}\r\nConnection: close\r\n\r\n"
    assert f"\r\nLocation: http://{other}:{port}/echo\r\n".encode() in send(site.url, head.encode())


@pytest.mark.parametrize("to", ["http://0x7f000001/", "http://[::ffff:127.0.0.1]/", "http://\u2460\u2461\u2466.0.0.1/"])
def test_a_private_address_is_told_as_it_is_written_after_its_hops(site: FixtureServer, ask: Ask, to: str) -> None:
    url, locations = site.fault("private-address", to=to, hops=3), []
    for _ in range(3):
        locations.append(ask(url).headers["Location"])
        url = urljoin(url, locations[-1])
    assert [location.startswith("/faults/private-address?") for location in locations] == [True, True, False]
    assert locations[-1].encode("latin-1") == to.encode()


def test_a_private_address_has_a_page_for_who_does_not_look(site: FixtureServer, ask: Ask) -> None:
    location = urlsplit(ask(site.fault("private-address")).headers["Location"])
    assert location.netloc == f"[::ffff:127.0.0.1]:{urlsplit(site.url).port}"
    assert ask(urljoin(site.url, location.path)).status == 200


# Cookies.


def test_a_cookie_is_set_for_any_domain(site: FixtureServer, ask: Ask) -> None:
    answer = ask(site.fault("cookie-domain", domain="co.uk"))
    assert answer.headers["Set-Cookie"] == "super=1; Domain=co.uk; Path=/"


def test_many_cookies_are_spread_over_pages(site: FixtureServer, ask: Ask) -> None:
    """A client that has a cap on header fields would otherwise never see them."""
    first = ask(site.fault("many-cookies", count=250))
    links = [unescape(href) for href in re.findall('href="([^"]*)"', first.body.decode())]
    pages = [first, *(ask(urljoin(site.url, f"faults/{href}")) for href in links)]
    cookies = [cookie for page in pages for cookie in page.headers.get_all("Set-Cookie")]
    assert len(pages) == 5
    assert len({cookie.partition("=")[0] for cookie in cookies}) == len(cookies) == 250


def test_a_cookie_has_control_characters(site: FixtureServer, send: Send) -> None:
    data = send(site.url, _get(site.fault("cookie-control-characters"))[:-2] + b"Connection: close\r\n\r\n")
    assert b"\r\nSet-Cookie: na\x01me=val\x7fue\x0b; Path=/\r\n" in data


# Pace.


@pytest.mark.parametrize("name", ["slow-body", "slow-headers"])
def test_a_slow_answer_comes_whole_and_no_faster_than_told(site: FixtureServer, ask: Ask, name: str) -> None:
    site.reset_blocking()
    answer = ask(site.fault(name, interval_s=0.001))
    assert answer.status == 200
    assert f"<title>{name}</title>".encode() in answer.body
    [entry] = site.access_log_blocking()
    assert entry.status == 200
    assert entry.duration_s is not None
    assert entry.duration_s >= 0.001 * 80  # the head and the body are both longer than that


def test_silence_is_silent_before_and_after_the_headers(site: FixtureServer) -> None:
    parts = urlsplit(site.url)
    for name, status in (("silence", None), ("silence-after-headers", 200)):
        connection = HTTPConnection(parts.netloc, timeout=0.1)
        connection.request("GET", f"/faults/{name}")
        if status is None:
            with pytest.raises(TimeoutError):
                connection.getresponse()
        else:
            response = connection.getresponse()
            assert response.status == status
            with pytest.raises(TimeoutError):
                response.read()
            response.close()
        connection.close()


# Framing.


@pytest.mark.parametrize("name", ["empty-reply", "headers-cut", "status-line-garbage"])
def test_what_is_no_answer_is_none(site: FixtureServer, send: Send, name: str) -> None:
    data = send(site.url, _get(site.fault(name)))
    assert b"\r\n\r\n" not in data or not data.startswith(b"HTTP/1.1 ")


def test_a_reset_is_not_an_end_of_file(site: FixtureServer, ask: Ask, send: Send) -> None:
    with pytest.raises(ConnectionResetError):
        send(site.url, _get(site.fault("reset")))
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        send(site.url, _get(site.fault("reset-at-once")))


def test_a_reset_comes_after_half_of_the_body(site: FixtureServer) -> None:
    connection = HTTPConnection(urlsplit(site.url).netloc, timeout=20)
    connection.request("GET", "/faults/reset")
    response = connection.getresponse()
    assert response.status == 200
    with pytest.raises(ConnectionResetError):
        response.read()
    response.close()
    connection.close()


@pytest.mark.parametrize("name", ["length-too-long", "chunked-cut", "chunked-cut-inside", "chunk-size-garbage"])
def test_a_body_that_is_cut_is_incomplete(site: FixtureServer, ask: Ask, name: str) -> None:
    with pytest.raises(IncompleteRead):
        ask(site.fault(name))


def test_an_empty_reply_is_a_disconnection(site: FixtureServer, ask: Ask) -> None:
    with pytest.raises(RemoteDisconnected):
        ask(site.fault("empty-reply"))


@pytest.mark.parametrize("name", ["length-too-short", "trailing-bytes"])
def test_bytes_after_an_answer_come_on_an_open_connection(site: FixtureServer, send: Send, name: str) -> None:
    """The answer to the next request follows them, on the same connection."""
    last = b"GET /page/5 HTTP/1.1\r\nConnection: close\r\n\r\n"
    data = send(site.url, _get(site.fault(name)) + last)
    first, _, rest = data.partition(b"\r\n\r\n")
    length = int(first.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    between = rest[
        length : rest.index(b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 4000")
    ]
    assert between.endswith(b"</html>\n")
    assert b'data-page="5"' in rest


def test_a_late_answer_comes_unless_the_next_request_came_before(site: FixtureServer, send: Send) -> None:
    parts = urlsplit(site.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as idle:
        idle.sendall(_get(site.fault("late-second-answer", wait_s=0.01)))
        data = b""
        while data.count(b"</html>\n") < 2:
            data += idle.recv(10_000)
    assert b"<title>late-second-answer</title>" in data.partition(b"</html>")[0]
    assert b"<title>Unsolicited</title>" in data.partition(b"</html>")[2]
    last = b"GET /page/5 HTTP/1.1\r\nConnection: close\r\n\r\n"
    assert b"Unsolicited" not in send(site.url, _get(site.fault("late-second-answer", wait_s=0.01)) + last)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("length-negative", rb"\r\nContent-Length: -1\r\n"),
        ("lengths-differ", rb"\r\nContent-Length: (\d+)\r\nContent-Length: (?!\1)\d+\r\n"),
        (
            "length-and-chunked",
            rb"\r\nContent-Length: \d+\r\nTransfer-Encoding: chunked\r\n\r\n[0-9a-f]+\r\n<!DOC(?s:.*)\r\n0\r\n\r\n$",
        ),
        ("header-without-colon", rb"^HTTP/1.1 200 OK\r\nnot a header\r\n"),
        ("chunk-size-garbage", rb"\r\nlots\r\n"),
        ("until-close", rb"^HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<!DOC(?s:.*)</html>\n$"),
    ],
)
def test_the_bytes_are_as_the_line_says(site: FixtureServer, send: Send, name: str, pattern: bytes) -> None:
    assert re.search(pattern, send(site.url, _get(site.fault(name))))


def test_a_chunked_page_is_put_together(site: FixtureServer, ask: Ask) -> None:
    answer = ask(site.fault("chunked"))
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.body.endswith(b"</html>\n")


def test_many_headers_are_as_many_as_asked_for(site: FixtureServer, send: Send) -> None:
    url = site.fault("many-headers", count=300, size=50)
    data = send(site.url, _get(url)[:-2] + b"Connection: close\r\n\r\n")
    assert len(re.findall(rb"\r\nX-\d+: x{50}(?=\r)", data)) == 300


# Content encodings.


def _inflate_raw(data: bytes) -> bytes:
    return zlib.decompress(data, wbits=-15)


def _unzstd(data: bytes) -> bytes:
    return zstd.decompress(data)


@pytest.mark.parametrize(
    ("name", "encoding", "unpack"),
    [
        ("gzip", "gzip", gzip.decompress),
        ("gzip-members", "gzip", gzip.decompress),
        ("deflate", "deflate", zlib.decompress),
        ("deflate-raw", "deflate", _inflate_raw),
        ("br", "br", brotli.decompress),
        ("zstd", "zstd", _unzstd),
        ("stacked-encodings", "gzip, br", lambda data: gzip.decompress(brotli.decompress(data))),
        ("unknown-encoding", "rot13", bytes),
    ],
)
def test_a_packed_page_unpacks(
    site: FixtureServer, ask: Ask, name: str, encoding: str, unpack: Callable[[bytes], bytes]
) -> None:
    answer = ask(site.fault(name))
    assert answer.headers["Content-Encoding"] == encoding
    page = unpack(answer.body)
    assert f"<title>{name}</title>".encode() in page
    assert page.endswith(b"</html>\n")


@pytest.mark.parametrize(
    ("name", "unpack"), [("gzip-bomb", gzip.decompress), ("br-bomb", brotli.decompress), ("zstd-bomb", _unzstd)]
)
def test_a_bomb_unpacks_to_what_was_asked_for(
    site: FixtureServer, ask: Ask, name: str, unpack: Callable[[bytes], bytes]
) -> None:
    """gzip checks its sum and its length, too: only the size gives it away, not an error."""
    packed = ask(site.fault(name, megabytes=20)).body
    assert len(packed) < 25_000
    assert len(unpack(packed)) == 20_000_000


def test_the_default_bomb_is_two_hundred_megabytes_in_two_hundred_kilobytes(site: FixtureServer, ask: Ask) -> None:
    packed = ask(site.fault("gzip-bomb")).body
    assert len(packed) < 250_000
    assert int.from_bytes(packed[-4:], "little") == 200_000_000


def test_broken_gzip_is_broken_in_its_own_way(site: FixtureServer, ask: Ask) -> None:
    body = {name: ask(site.fault(name)).body for name in BEHAVIOURS if name.startswith("gzip-") and name != "gzip-bomb"}
    with pytest.raises(EOFError):
        gzip.decompress(body["gzip-truncated"])
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(body["gzip-garbage"])
    unpacker = zlib.decompressobj(wbits=31)
    assert unpacker.decompress(body["gzip-trailing-garbage"]).endswith(b"</html>\n")
    assert unpacker.unused_data
    assert body["gzip-empty"] == b""


def test_a_bomb_in_a_bomb_is_smaller_still(site: FixtureServer, ask: Ask) -> None:
    answer = ask(site.fault("stacked-bomb", megabytes=20))
    assert answer.headers["Content-Encoding"] == "gzip, gzip"
    assert len(answer.body) < 1000
    assert len(gzip.decompress(gzip.decompress(answer.body))) == 20_000_000


def test_many_encodings_are_as_many_as_the_header_says(site: FixtureServer, ask: Ask) -> None:
    answer = ask(site.fault("many-encodings", layers=7))
    assert answer.headers["Content-Encoding"].split(", ") == ["gzip"] * 7
    body = answer.body
    for _ in range(7):
        body = gzip.decompress(body)
    assert b"<title>many-encodings</title>" in body


# Content.


@pytest.mark.parametrize(
    ("query", "content_type", "body"),
    [
        ("body=utf-8&header=utf-8", "text/html; charset=utf-8", "caf\u00e9".encode()),
        ("body=cp1252&meta=windows-1252", "text/html", "caf\u00e9".encode("cp1252")),
        ("body=shift_jis&header=klingon", "text/html; charset=klingon", b"caf&#233;"),
    ],
)
def test_charset_says_one_thing_and_does_another(
    site: FixtureServer, ask: Ask, query: str, content_type: str, body: bytes
) -> None:
    answer = ask(f"{site.url}faults/charset?{query}")
    assert answer.headers["Content-Type"] == content_type
    assert body in answer.body
    assert (b"<meta charset" in answer.body) == ("meta" in query)


def test_charset_refuses_a_codec_that_does_not_exist(site: FixtureServer, ask: Ask) -> None:
    assert ask(site.fault("charset", body="klingon")).status == 400


def test_a_lying_charset_does_not_decode(site: FixtureServer, ask: Ask) -> None:
    answer = ask(site.fault("lying-charset"))
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    with pytest.raises(UnicodeDecodeError):
        answer.body.decode()


def test_byte_order_marks_lead_the_body(site: FixtureServer, ask: Ask) -> None:
    bom, utf_16 = ask(site.fault("bom")), ask(site.fault("utf-16"))
    assert bom.headers["Content-Type"] == "text/html; charset=iso-8859-1"
    assert "caf\u00e9" in bom.body.decode("utf-8-sig")
    assert bom.body[:3] == b"\xef\xbb\xbf"
    assert utf_16.headers["Content-Type"] == "text/html"
    assert "caf\u00e9" in utf_16.body.decode("utf-16")


def test_sizes_are_those_asked_for(site: FixtureServer, ask: Ask) -> None:
    assert ask(site.fault("deep-nesting", depth=5000)).body.count(b"<div>") == 5000
    assert 3_000_000 < len(ask(site.fault("huge-page", megabytes=3)).body) < 3_001_000
    assert ask(site.fault("many-links", count=1000)).body.count(b"<a href=") == 1000
    assert ask(site.fault("empty-page")).body == b""
    assert b"\0" in ask(site.fault("nul-bytes")).body


def test_links_and_bases_are_those_asked_for(site: FixtureServer, ask: Ask) -> None:
    many = ask(site.fault("many-links", count=300)).body.decode()
    assert '<base href="http://links.invalid/">' in many
    assert len(set(re.findall("<a href=([^>]+)>", many))) == 300
    base = ask(site.fault("base", href='javascript:1//"')).body.decode()
    assert '<head><base href="javascript:1//&quot;">' in base


def test_meta_refreshes_lead_to_each_other(site: FixtureServer, ask: Ask) -> None:
    for at in (0, 1):
        assert f"url=meta-refresh?at={1 - at}".encode() in ask(site.fault("meta-refresh", at=at)).body


def test_words_that_are_dangerous_to_write_are_there(site: FixtureServer, ask: Ask) -> None:
    title = {
        name: unescape(ask(site.fault(name)).body.decode().partition("<title>")[2].partition("</title>")[0])
        for name in ("formulas", "line-breaks", "path-names")
    }
    assert title["formulas"].startswith("=")
    assert {"\r", "\n", "\u2028", "\x1b", "\x07"} <= set(title["line-breaks"])
    assert title["path-names"].startswith("../")
    netloc = urlsplit(site.url).netloc
    assert f'href="http://user:hunter2@{netloc}/echo"' in ask(site.fault("credentials-in-links")).body.decode()


def test_a_long_url_is_as_long_as_told(site: FixtureServer, ask: Ask) -> None:
    assert b'href="ok?' + b"x" * 30_000 + b'"' in ask(site.fault("long-url", characters=30_000)).body
    assert len(ask(site.fault("long-url")).body) > 2_000_000


# robots.txt and sitemaps.


def test_the_large_robots_file_has_a_rule_on_either_side_of_500_kib(site: FixtureServer, ask: Ask) -> None:
    body = ask(site.fault("robots-large")).body
    assert b"Disallow: /early/\n" in body[: 500 * 1024]
    assert b"Disallow: /\n" not in body[: 500 * 1024]
    assert b"\nDisallow: /\n" in body[500 * 1024 :]
    assert b"\nDisallow: /\n" in body[: 600 * 1024]


@pytest.mark.parametrize(("name", "hops"), [("robots-redirects", 5), ("robots-many-redirects", 20)])
def test_a_robots_file_is_behind_redirects(site: FixtureServer, ask: Ask, name: str, hops: int) -> None:
    url, seen = site.fault(name), 0
    while (answer := ask(url)).status == 302:
        url, seen = urljoin(url, answer.headers["Location"]), seen + 1
    assert (answer.status, seen) == (200, hops)
    assert answer.body == b"User-agent: *\nDisallow: /\n"


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("robots-refusing", (200, "text/plain; charset=utf-8"), b"Disallow: /\n"),
        ("robots-error", (500, "text/html; charset=utf-8"), b""),
        ("robots-missing", (404, "text/html; charset=utf-8"), b""),
        ("robots-html", (200, "text/html; charset=utf-8"), b"<html"),
        ("robots-binary", (200, "text/plain; charset=utf-8"), bytes(range(256))),
        ("robots-delay-huge", (200, "text/plain; charset=utf-8"), b"Crawl-delay: 1e9\n"),
        ("robots-delay-negative", (200, "text/plain; charset=utf-8"), b"Crawl-delay: -1\n"),
        ("robots-delay-nan", (200, "text/plain; charset=utf-8"), b"Crawl-delay: NaN\n"),
    ],
)
def test_robots_files_say_what_their_names_say(
    site: FixtureServer, ask: Ask, name: str, kind: tuple[int, str], words: bytes
) -> None:
    answer = ask(site.fault(name))
    assert (answer.status, answer.headers["Content-Type"]) == kind
    assert words in answer.body


def test_the_patterns_of_a_robots_file_are_many_and_have_many_stars(site: FixtureServer, ask: Ask) -> None:
    lines = ask(site.fault("robots-patterns")).body.splitlines()
    assert sum(line.startswith(b"Disallow:") and line.count(b"*") >= 30 for line in lines) == 10_000


def test_sitemaps_speak_of_this_server_by_the_name_it_was_asked_by(site: FixtureServer, ask: Ask) -> None:
    listed = {
        name: re.findall("<loc>(.*)</loc>", ask(site.fault(name)).body.decode())
        for name in ("sitemap", "sitemap-of-itself", "sitemap-long", "sitemap-of-others")
    }
    assert listed["sitemap"] == [site.fault("ok", listed=number) for number in range(3)]
    assert listed["sitemap-of-itself"] == [site.fault("sitemap-of-itself"), site.fault("sitemap-of-itself", step=1)]
    assert len(set(listed["sitemap-long"])) == 60_000
    assert [url for url in listed["sitemap-of-others"] if url.startswith(site.url)] == [site.fault("ok", listed="here")]


def test_sitemaps_that_attack_their_reader(site: FixtureServer, ask: Ask) -> None:
    assert ask(site.fault("sitemap-entities")).body.count(b"<!ENTITY") == 10
    assert b'SYSTEM "file:///etc/hostname"' in ask(site.fault("sitemap-external-entity")).body
    bomb = ask(site.fault("sitemap-gzip-bomb", megabytes=20))
    assert bomb.headers["Content-Type"] == "application/gzip"
    assert len(bomb.body) < 25_000
    assert len(gzip.decompress(bomb.body)) == 20_000_000


def test_an_endless_page_goes_on_until_the_client_leaves(site: FixtureServer) -> None:
    connection = HTTPConnection(urlsplit(site.url).netloc, timeout=20)
    connection.request("GET", "/faults/endless-page")
    response = connection.getresponse()
    assert len(response.read(5_000_000)) == 5_000_000
    response.close()
    connection.close()


def test_other_types_are_labelled_as_such(site: FixtureServer, ask: Ask) -> None:
    assert ask(site.fault("not-html")).headers["Content-Type"] == "image/gif"
    assert ask(site.fault("not-html", type="application/pdf")).headers["Content-Type"] == "application/pdf"
    assert ask(site.fault("no-content-type")).headers["Content-Type"] is None
    assert json.loads(ask(site.fault("json")).body)["title"] == "json"


def test_the_server_outlives_every_behaviour(site: FixtureServer, send: Send, ask: Ask) -> None:
    """All of them as the gallery shows them, each with a client that leaves after its first bytes."""
    site.reset_blocking()
    parts = urlsplit(site.url)
    for behaviour in BEHAVIOURS.values():
        for case in behaviour.cases:
            connection = HTTPConnection(parts.netloc, timeout=0.3)
            try:
                connection.request("GET", f"/faults/{behaviour.path(case.query)}")
                connection.sock.recv(100)
            except (TimeoutError, ConnectionResetError):
                pass  # silence and resets
            finally:
                connection.close()
    assert ask(site.url).status == 200
    assert [entry.path for entry in site.access_log_blocking() if entry.status == 400] == []
    unanswered = {
        entry.path for entry in site.access_log_blocking() if entry.status >= 500 and "code=" not in entry.path
    }
    assert all(path.startswith(("/faults/flaky", "/faults/robots-error")) for path in unanswered)
