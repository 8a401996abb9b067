"""What can go wrong on the way to a page, in short stable words.

    reason                retry  when
    timeout               yes    the attempt took longer than it may, redirects included
    connect_timeout       yes    no connection in time
    dns                   if     the host name has no address; tried again where the name service was at fault
    private_address       no     the address is not public, and nobody permitted it
    denied_address        no     the host or its address is on the deny list
    connection_refused    yes    nobody listens
    connection_reset      yes    the connection was torn down
    unreachable           yes    no route to the address
    too_many_open_files   yes    this process has no socket left
    connection_error      yes    any other trouble with the connection
    disconnected          yes    the connection was closed before an answer
    closed                yes    the fetcher was closed meanwhile
    tls                   no     a certificate that does not hold, or no common protocol
    proxy                 yes    a proxy did not connect
    bad_framing           yes    no valid HTTP, or bytes behind the end of a body; perhaps only the rest of another
                                 answer on a kept connection
    header_too_large      no     a header field, their number, or the whole header, above the cap
    truncated_body        yes    the connection was closed in the middle of a body
    truncated_encoding    yes    a compressed body that ends too early
    bad_encoding          no     a compressed body that is garbage
    unknown_encoding      no     a Content-Encoding that nobody asked for
    body_too_large        no     above the cap, as it came or unpacked
    bad_url               no     the URL cannot be asked for
    bad_header            no     a header or method of the request that HTTP cannot carry
    bad_redirect          no     a redirect to no URL, or without one
    redirect_scheme       no     a redirect out of http and https
    redirect_loop         no     a redirect to where the request has been
    too_many_redirects    no     more hops than are followed
    not_cached            no     not in the cache, and the site is not to be asked
    http_NNN              if     any status outside 2xx; see `is_retryable_status`

A reason is a promise to whoever counts by it: new ones may be added, none changes its meaning.
"""

from __future__ import annotations

import errno
import socket
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from scraper.fetch.refused import Refused
from scraper.model import Failure, Stage

FOREIGN = (aiohttp.ClientError, HttpProcessingError, OSError, Refused)
"""What a fetch may raise and `failure_of` makes data of."""

UNKNOWN = "client_error"
"""For an error that no row covers; a test keeps every class of aiohttp's away from it."""

_RETRYABLE = frozenset(
    {
        "timeout",
        "connect_timeout",
        "closed",
        "connection_refused",
        "connection_reset",
        "unreachable",
        "too_many_open_files",
        "connection_error",
        "disconnected",
        "proxy",
        "bad_framing",
        "truncated_body",
        "truncated_encoding",
    },
)

# The most specific class that an error has decides.
_BY_CLASS: dict[type[BaseException], str] = {
    TimeoutError: "timeout",
    OSError: "connection_error",
    HttpProcessingError: "bad_framing",
    aiohttp.ClientConnectionError: "connection_error",
    aiohttp.ClientConnectionResetError: "connection_reset",
    aiohttp.ClientConnectorCertificateError: "tls",
    aiohttp.ClientConnectorDNSError: "dns",
    aiohttp.ClientConnectorSSLError: "tls",
    aiohttp.ClientHttpProxyError: "proxy",
    aiohttp.ClientOSError: "connection_error",
    aiohttp.ClientPayloadError: "truncated_body",
    aiohttp.ClientProxyConnectionError: "proxy",
    aiohttp.ClientResponseError: "bad_framing",
    aiohttp.ClientSSLError: "tls",
    aiohttp.ConnectionTimeoutError: "connect_timeout",
    aiohttp.InvalidURL: "bad_url",
    aiohttp.NonHttpUrlClientError: "bad_url",
    aiohttp.RedirectClientError: "bad_redirect",
    aiohttp.ServerDisconnectedError: "disconnected",
    aiohttp.ServerFingerprintMismatch: "tls",
    aiohttp.ServerTimeoutError: "timeout",
    aiohttp.UploadAbortedError: "disconnected",
}

_BY_ERRNO = {
    errno.ECONNREFUSED: "connection_refused",
    errno.ECONNRESET: "connection_reset",
    errno.ECONNABORTED: "connection_reset",
    errno.EPIPE: "connection_reset",
    errno.ETIMEDOUT: "connect_timeout",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ENETDOWN: "unreachable",
    errno.EADDRNOTAVAIL: "unreachable",
    errno.EMFILE: "too_many_open_files",
    errno.ENFILE: "too_many_open_files",
}

# The name service answered that there is no such name; anything else it says is its own trouble.
_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})

_DETAILS = {
    "timeout": "the attempt took longer than it may",
    "connect_timeout": "no connection in time",
    "disconnected": "the server closed the connection without an answer",
    "header_too_large": "the answer's header is larger than the caps",
    "truncated_body": "the connection was closed in the middle of the body",
}

# Long enough for any sentence, short enough for a hostile server's words.
_MAX_DETAIL = 200

# A wait beyond it is no plan. Infinity, which many digits would give, could not be written as JSON.
_MAX_RETRY_AFTER_S = 1e9


def failure_of(error: BaseException, latency_s: float) -> Failure:
    """Translates what aiohttp, the socket, or a decoder raised.

    Args:
        error: one of `FOREIGN`.
        latency_s: seconds until it showed.
    """
    if isinstance(error, Refused):
        reason, detail = error.reason, error.detail
    else:
        reason = _reason(error)
        detail = _DETAILS.get(reason) or _words(error)
    is_retryable = reason in _RETRYABLE or (reason == "dns" and _errno(error) not in _NO_SUCH_NAME)
    return Failure(Stage.FETCH, reason, detail[:_MAX_DETAIL], retryable=is_retryable, latency_s=latency_s)


def http_failure(status: int, phrase: str, retry_after: str | None, latency_s: float | None) -> Failure:
    """A status outside 2xx.

    Args:
        status: as it came, also one that HTTP does not know.
        phrase: the reason phrase beside it.
        retry_after: the header of this name.
        latency_s: seconds from the request to the end of its header; None if the network was not asked.
    """
    is_retryable = is_retryable_status(status)
    return Failure(
        Stage.FETCH,
        f"http_{status}",
        # aiohttp marks bytes that are no UTF-8 as surrogates, which no file could take.
        " ".join(phrase.encode(errors="replace").decode().split())[:_MAX_DETAIL],
        retryable=is_retryable,
        retry_after_s=parse_retry_after(retry_after) if is_retryable and retry_after else None,
        latency_s=latency_s,
    )


def is_retryable_status(status: int) -> bool:
    """Whether a later attempt may succeed: time-outs, "too early", "too many", and errors of the server's own.

    Of 5xx not 501 and 505, which say that the server will never understand (RFC 9110 section 15.6).
    """
    return status in (408, 425, 429) or (500 <= status <= 599 and status not in (501, 505))


def parse_retry_after(value: str) -> float | None:
    """Seconds to wait, of both forms in RFC 9110 section 10.2.3; None if it is neither.

    A date in the past is 0.
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _MAX_RETRY_AFTER_S)
    try:
        date = parsedate_to_datetime(text)
        if date.tzinfo is None:  # "-0000": UTC, of unknown origin
            date = date.replace(tzinfo=UTC)
        wait_s = (date - datetime.now(UTC)).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(wait_s, 0.0), _MAX_RETRY_AFTER_S)


def _reason(error: BaseException) -> str:
    reason = next((_BY_CLASS[kind] for kind in type(error).__mro__ if kind in _BY_CLASS), UNKNOWN)
    if reason == "bad_framing" and _is_about_size(error):
        return "header_too_large"
    if reason == "connection_error":
        return _BY_ERRNO.get(_errno(error) or 0, reason)
    return reason


def _errno(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None


def _is_about_size(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, LineTooLong):
            return True
        # For their number aiohttp has no class of its own.
        if isinstance(cause, HttpProcessingError) and cause.message.startswith("Too many headers"):
            return True
        cause = cause.__cause__
    return False


def _words(error: BaseException) -> str:
    """In aiohttp's words, without what the server sent or the request held."""
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return error.message.partition(":")[0]
    return " ".join(str(error).split())
