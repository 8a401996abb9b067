"""Everything that can go wrong has a word, and the word says whether trying again has sense."""

import errno
import json
import math
import re
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError, LineTooLong

from scraper.fetch import failures
from scraper.fetch.failures import FOREIGN, UNKNOWN, failure_of, http_failure, is_retryable_status, parse_retry_after
from scraper.fetch.refused import Refused
from scraper.model import Stage

KEY = ConnectionKey("a.test", 80, False, True, None, None, None)


def rows() -> dict[str, str]:
    """The table in the module's docstring: reason and the column "retry"."""
    assert failures.__doc__ is not None
    return dict(re.findall(r"^    (\w+) +(yes|no|if) ", failures.__doc__, re.MULTILINE))


def classes_under(kind: type[Exception]) -> Iterator[type[Exception]]:
    for child in kind.__subclasses__():
        yield child
        yield from classes_under(child)


@pytest.mark.parametrize("kind", sorted(set(classes_under(aiohttp.ClientError)), key=str))
def test_no_error_of_aiohttp_is_left_without_a_word(kind: type[Exception]) -> None:
    """A release that adds one fails here, and not as `client_error` in somebody's statistics."""
    error = kind.__new__(kind)
    # What their constructors would have set, which differ from class to class.
    for name, value in {
        "_conn_key": KEY,
        "_os_error": OSError(),
        "_certificate_error": OSError(),
        "_path": "x",
    }.items():
        setattr(error, name, value)
    for name, value in {"message": "words", "_url": "x", "_description": None}.items():
        setattr(error, name, value)
    failure = failure_of(error, 0.5)
    assert failure.reason != UNKNOWN
    assert failure.reason in rows()
    assert failure.stage is Stage.FETCH
    assert failure.latency_s == 0.5


def test_an_error_of_a_class_without_a_row_is_still_a_failure() -> None:
    class Newer(aiohttp.ClientError):
        pass

    failure = failure_of(Newer("something new"), 0.0)
    assert (failure.reason, failure.detail, failure.retryable) == (UNKNOWN, "something new", False)


def connector_error(number: int) -> aiohttp.ClientConnectorError:
    return aiohttp.ClientConnectorError(KEY, OSError(number, "words"))


def dns_error(number: int) -> aiohttp.ClientConnectorDNSError:
    return aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(number, "words"))


def caused_by(cause: HttpProcessingError) -> Exception:
    error = aiohttp.ClientResponseError(None, (), status=400, message=cause.message)  # type: ignore[arg-type]
    error.__cause__ = HttpProcessingError(code=400, message=cause.message)
    error.__cause__.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reason", "retryable"),
    [
        (TimeoutError(), "timeout", True),
        (aiohttp.ConnectionTimeoutError(), "connect_timeout", True),
        (connector_error(errno.ETIMEDOUT), "connect_timeout", True),
        (connector_error(errno.ECONNREFUSED), "connection_refused", True),
        (connector_error(errno.ECONNRESET), "connection_reset", True),
        (aiohttp.ClientOSError(errno.EPIPE, "words"), "connection_reset", True),
        (connector_error(errno.EHOSTUNREACH), "unreachable", True),
        (connector_error(errno.ENETUNREACH), "unreachable", True),
        (connector_error(errno.EMFILE), "too_many_open_files", True),
        (connector_error(errno.EINVAL), "connection_error", True),
        (dns_error(socket.EAI_NONAME), "dns", False),
        (dns_error(socket.EAI_AGAIN), "dns", True),
        (dns_error(socket.EAI_FAIL), "dns", True),
        (aiohttp.ServerDisconnectedError(), "disconnected", True),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "words")), "tls", False),
        (aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError(1, "words")), "tls", False),
        (aiohttp.ClientPayloadError("words"), "truncated_body", True),
        (aiohttp.InvalidURL("x"), "bad_url", False),
        (caused_by(BadHttpMessage("Bad status line:\n\n  b'x'")), "bad_framing", True),
        (caused_by(LineTooLong(b"x", 8)), "header_too_large", False),
        (caused_by(BadHttpMessage("Too many headers received")), "header_too_large", False),
        (Refused("body_too_large", "words"), "body_too_large", False),
        (Refused("truncated_encoding", "words"), "truncated_encoding", True),
    ],
)
def test_errors_are_told_apart(error: Exception, reason: str, retryable: bool) -> None:
    assert isinstance(error, FOREIGN)
    failure = failure_of(error, 0.1)
    assert (failure.reason, failure.retryable) == (reason, retryable)
    assert failure.detail


@pytest.mark.parametrize(("reason", "retry"), [row for row in rows().items() if row[1] != "if"])
def test_the_table_says_what_the_code_does(reason: str, retry: str) -> None:
    assert failure_of(Refused(reason, "words"), 0.0).retryable is (retry == "yes")


def test_a_detail_is_short_and_holds_nothing_that_the_server_sent() -> None:
    long = failure_of(aiohttp.ClientConnectorError(KEY, OSError(errno.EINVAL, "x" * 9_999)), 0.0)
    assert len(long.detail) <= 200
    framing = failure_of(caused_by(BadHttpMessage("Invalid header value:\n\n  b'Set-Cookie: secret'")), 0.0)
    assert "secret" not in framing.detail


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 507, 520, 524, 599])
def test_a_status_that_may_pass_is_tried_again(status: int) -> None:
    assert is_retryable_status(status)


@pytest.mark.parametrize("status", [99, 101, 300, 304, 400, 401, 403, 404, 410, 418, 451, 501, 505, 600, 999])
def test_a_status_that_will_not_pass_is_not(status: int) -> None:
    assert not is_retryable_status(status)


def test_a_status_becomes_a_failure_with_the_wait_that_the_server_asks_for() -> None:
    failure = http_failure(503, "Service\r\n Unavailable", "120", 0.25)
    assert (failure.reason, failure.detail, failure.retryable) == ("http_503", "Service Unavailable", True)
    assert (failure.retry_after_s, failure.latency_s) == (120.0, 0.25)


def test_a_status_that_is_not_tried_again_asks_for_no_wait() -> None:
    assert http_failure(404, "Not Found", "120", 0.1).retry_after_s is None


@pytest.mark.parametrize(("value", "expected"), [("0", 0.0), (" 17 ", 17.0), ("1000000000000", 1e9), ("9" * 400, 1e9)])
def test_retry_after_in_seconds(value: str, expected: float) -> None:
    assert parse_retry_after(value) == expected


@pytest.mark.parametrize("ahead_s", [90, 3_600 * 24])
def test_retry_after_as_a_date(ahead_s: int) -> None:
    date = datetime.now(UTC) + timedelta(seconds=ahead_s)
    for value in (format_datetime(date, usegmt=True), date.strftime("%a %b %d %H:%M:%S %Y -0000")):
        wait_s = parse_retry_after(value)
        assert wait_s is not None
        assert ahead_s - 30 < wait_s <= ahead_s


@pytest.mark.parametrize("value", ["Thu, 01 Jan 1970 00:00:00 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"])
def test_a_date_in_the_past_is_no_wait(value: str) -> None:
    assert parse_retry_after(value) == 0.0


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-1",
        "1.5",
        "1e12",
        "soon",
        "٣",
        "NaN",
        "inf",
        "Thu, 99 Foo 2020 25:61:61 GMT",
        "Mon, 01 Jan 99999 00:00:00 GMT",
    ],
)
def test_garbage_is_no_retry_after(value: str) -> None:
    assert parse_retry_after(value) is None


def test_a_wait_can_always_be_written_as_json() -> None:
    wait_s = parse_retry_after("9" * 5_000)
    assert wait_s is not None
    assert math.isfinite(json.loads(json.dumps(wait_s)))
