"""Arguments that commands share, and how text becomes options."""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from scraper import urls
from scraper.addresses import is_ip_address, is_public
from scraper.errors import InvalidOption, UsageError
from scraper.handlers import split_name
from scraper.options import (
    DEFAULT_USER_AGENT,
    EXECUTORS,
    PARSERS,
    SCOPES,
    SYNCHRONOUS,
    AddressOptions,
    CacheOptions,
    FetchOptions,
    LimitOptions,
    OffloadOptions,
    OriginOptions,
    PaceOptions,
    Resolve,
    StateOptions,
    TrapOptions,
    UrlOptions,
)

# Top-level domains that lead to no public host: RFC 6761, RFC 6762, and one that ICANN keeps for private use.
_LOCAL_NAMES = frozenset({"internal", "invalid", "local", "localhost", "test"})


def add_strategy(parser: argparse.ArgumentParser) -> None:
    """Adds what decides how pages are parsed."""
    group = parser.add_argument_group("parsing")
    group.add_argument(
        "--handler",
        metavar="MODULE:NAME|FILE.py:NAME",
        help="the function that pages go to (default: the outline, which follows every link in scope)",
    )
    group.add_argument("--parser", default="lxml", metavar="NAME", help=f"{' | '.join(PARSERS)} (default: lxml)")
    group.add_argument("--executor", default="auto", metavar="NAME", help=f"{' | '.join(EXECUTORS)} (default: auto)")
    group.add_argument("--workers", type=int, metavar="N", help="default: the CPUs that this process may use")
    group.add_argument(
        "--parse-timeout",
        type=float,
        default=OffloadOptions().deadline_s,
        metavar="S",
        help=f"give a page up that parses for so long (default: {OffloadOptions().deadline_s:g})",
    )


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Adds what bounds a crawl."""
    group = parser.add_argument_group("limits")
    group.add_argument("--concurrency", type=int, default=32, metavar="N", help="requests under way (default: 32)")
    group.add_argument(
        "--max-pages", type=int, metavar="N", help="stop after N pages that are done or failed, over all runs"
    )
    group.add_argument(
        "--max-pages-per-host",
        type=int,
        metavar="N",
        help="fetch N pages of each host and skip the others, over all runs",
    )
    group.add_argument("--max-depth", type=int, metavar="N", help="links followed from a seed")
    group.add_argument("--max-time", type=float, metavar="S", help="stop after S seconds, as Ctrl-C does")
    group.add_argument("--scope", default="host", metavar="NAME", help=f"{' | '.join(SCOPES)} (default: host)")
    group.add_argument("--timeout", type=float, default=30.0, metavar="S", help="one attempt (default: 30)")
    group.add_argument(
        "--max-body", type=int, default=10_000_000, metavar="BYTES", help="after unpacking (default: 10 MB)"
    )


def add_addresses(parser: argparse.ArgumentParser) -> None:
    """Adds what may be connected to."""
    group = parser.add_argument_group("addresses")
    group.add_argument(
        "--resolve",
        action="append",
        default=[],
        metavar="HOST:PORT:ADDR",
        help="send this host and port to this address",
    )
    group.add_argument(
        "--allow-private", action="store_true", help="connect to private addresses, too (always: those of start URLs)"
    )
    group.add_argument(
        "--public-only", action="store_true", help="connect to public addresses only, also for start URLs"
    )
    group.add_argument(
        "--allow", action="append", default=[], metavar="NETWORK|HOST", help="connect to these private addresses, too"
    )
    group.add_argument(
        "--deny", action="append", default=[], metavar="NETWORK|HOST", help="connect to none of these, whatever allows"
    )


def add_pace(parser: argparse.ArgumentParser) -> None:
    """Adds what a crawl keeps to on every site."""
    pace = PaceOptions()
    group = parser.add_argument_group("pace")
    group.add_argument(
        "--per-host", type=int, default=8, metavar="N", help="requests under way to one host (default: 8)"
    )
    group.add_argument(
        "--delay",
        type=float,
        default=0.0,
        metavar="S",
        help="between two requests to a host, one at a time (default: 0)",
    )
    group.add_argument("--rate", type=float, metavar="N", help="start at most N requests a second in all")
    group.add_argument("--no-robots", action="store_true", help="neither ask for robots.txt nor keep to it")
    group.add_argument(
        "--retries", type=int, default=pace.retries, metavar="N", help="attempts after the first (default: 2)"
    )
    group.add_argument(
        "--host-patience",
        type=float,
        default=pace.host_patience_s,
        metavar="S",
        help=f"pages of a host that went out of reach wait for so long, then fail (default: {pace.host_patience_s:g})",
    )


def add_urls(parser: argparse.ArgumentParser) -> None:
    """Adds what decides which links are followed, and in which form."""
    group = parser.add_argument_group("links")
    group.add_argument(
        "--sort-query", action="store_true", help="put the parameters of URLs in the order of their names"
    )
    group.add_argument(
        "--drop-params",
        action="append",
        default=[],
        metavar="NAME[,NAME...]",
        help="leave these parameters out of URLs; * stands for any text",
    )
    group.add_argument("--drop-tracking", action="store_true", help="leave out parameters such as utm_source and gclid")
    group.add_argument("--drop-session-ids", action="store_true", help="leave out jsessionid, PHPSESSID and the like")
    group.add_argument(
        "--respect-nofollow", action="store_true", help="follow no links of pages that say nofollow to robots"
    )
    group.add_argument(
        "--no-traps", action="store_true", help="follow links that look endless, too: calendars, filters, loops"
    )


def add_requests(parser: argparse.ArgumentParser) -> None:
    """Adds what goes along with requests."""
    group = parser.add_argument_group(
        "requests",
        "Other users of this machine may see a command line, so a secret may stand in the environment: env:NAME in its "
        "place is the value of the variable NAME.",
    )
    group.add_argument(
        "--contact", metavar="URL|MAIL", help="where those whose sites are crawled can reach you: a page or an address"
    )
    group.add_argument(
        "--user-agent",
        default=DEFAULT_USER_AGENT,
        metavar="TEXT",
        help=f"what the crawler calls itself; robots.txt knows its first word (default: {DEFAULT_USER_AGENT})",
    )
    group.add_argument(
        "--header", action="append", default=[], metavar="'NAME: VALUE'", help="send this to every host (repeatable)"
    )
    group.add_argument(
        "--auth",
        action="append",
        default=[],
        metavar="ORIGIN=USER:PASSWORD",
        help="basic authentication for an origin such as https://example.org, and for no other (repeatable)",
    )
    group.add_argument(
        "--proxy",
        metavar="URL",
        help="send everything through this HTTP proxy; keeping away from private addresses is then left to it",
    )
    group.add_argument("--cookies", action="store_true", help="keep cookies, and send them back (default: none)")


def add_state(parser: argparse.ArgumentParser) -> None:
    """Adds what makes a crawl survive its process."""
    group = parser.add_argument_group("state")
    group.add_argument("--state", metavar="FILE", help="keep the crawl in this file; the same command goes on with it")
    group.add_argument("--join", action="store_true", help="work on the state file together with other crawlers")
    group.add_argument("--retry-failed", action="store_true", help="try pages again that failed in earlier runs")
    group.add_argument(
        "--synchronous",
        metavar="NAME",
        help=f"{' | '.join(SYNCHRONOUS)}: survive a killed process, or also a loss of power (default: normal)",
    )


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Adds what keeps a site from being asked twice."""
    group = parser.add_argument_group("cache")
    group.add_argument(
        "--cache",
        metavar="FILE",
        help="keep the sites' answers in this file, and ask for none twice: to develop a handler, or to crawl again",
    )
    group.add_argument(
        "--cache-mode",
        metavar="NAME",
        help="replay: what the file has is not asked for again, however old (default) | revalidate: as a browser's "
        "cache, for crawls that come again | only: no site is asked, and what is missing fails",
    )


def _cache_options(parsed: argparse.Namespace) -> CacheOptions | None:
    """What `add_cache` added; None for a crawl without a cache."""
    if parsed.cache is None:
        if parsed.cache_mode is not None:
            raise InvalidOption("--cache-mode needs --cache FILE")
        return None
    if parsed.cache == "-":
        raise InvalidOption("--cache is read as well as written, so it cannot be standard output: name a file")
    return CacheOptions(path=parsed.cache, mode=parsed.cache_mode or CacheOptions(path=parsed.cache).mode)


def state_options(parsed: argparse.Namespace) -> StateOptions | None:
    """What `add_state` added; None for a crawl without a state.

    Raises:
        InvalidOption: an option of the state without one.
    """
    if parsed.state is None:
        for name in ("join", "retry_failed", "synchronous"):
            if getattr(parsed, name):
                raise InvalidOption(f"--{name.replace('_', '-')} needs --state FILE")
        return None
    if parsed.state == "-":
        raise InvalidOption("--state is read as well as written, so it cannot be standard output: name a file")
    return StateOptions(
        path=parsed.state,
        join=parsed.join,
        retry_failed=parsed.retry_failed,
        synchronous=parsed.synchronous or StateOptions(path=parsed.state).synchronous,
    )


def fetch_options(parsed: argparse.Namespace) -> FetchOptions:
    return FetchOptions(
        timeout_s=parsed.timeout,
        connect_timeout_s=min(parsed.timeout, FetchOptions().connect_timeout_s) if parsed.timeout > 0 else 1.0,
        max_body_bytes=parsed.max_body,
        user_agent=parsed.user_agent,
        contact=parsed.contact,
        headers=_headers(parsed.header),
        origins=tuple(_auth(text) for text in parsed.auth),
        proxy=None if parsed.proxy is None else _secret("--proxy", parsed.proxy),
        cookies=parsed.cookies,
        resolve=tuple(_resolve(text) for text in parsed.resolve),
        addresses=AddressOptions(
            allow_private=parsed.allow_private,
            allow=tuple(parsed.allow),
            deny=tuple(parsed.deny),
            trust_seeds=not parsed.public_only,
        ),
        cache=_cache_options(parsed),
    )


def is_introduced(parsed: argparse.Namespace) -> bool:
    """Whether requests say whom a site can turn to."""
    is_named = parsed.contact is not None or parsed.user_agent != DEFAULT_USER_AGENT
    return is_named or any(text.lower().startswith(("from:", "user-agent:")) for text in parsed.header)


def is_elsewhere(parsed: argparse.Namespace, url: str) -> bool:
    """Whether a canonical URL leads to other people's machines, as far as can be told before its name is looked up."""
    host_port = urls.host_port(url)
    host = next(
        (entry.address for entry in map(_resolve, parsed.resolve) if f"{entry.host}:{entry.port}" == host_port),
        host_port.rpartition(":")[0].strip("[]"),
    )
    if is_ip_address(host):
        return is_public(host)
    _, dot, last = host.rstrip(".").rpartition(".")
    return bool(dot) and last not in _LOCAL_NAMES


def offload_options(parsed: argparse.Namespace) -> OffloadOptions:
    return OffloadOptions(executor=parsed.executor, workers=parsed.workers, deadline_s=parsed.parse_timeout)


def pace_options(parsed: argparse.Namespace) -> PaceOptions:
    return PaceOptions(
        concurrency=parsed.concurrency,
        per_host=parsed.per_host,
        delay_s=parsed.delay,
        rate_per_s=parsed.rate,
        robots=not parsed.no_robots,
        retries=parsed.retries,
        host_patience_s=parsed.host_patience,
    )


def limit_options(parsed: argparse.Namespace) -> LimitOptions:
    return LimitOptions(
        scope=parsed.scope,
        max_pages=parsed.max_pages,
        max_pages_per_host=parsed.max_pages_per_host,
        max_depth=parsed.max_depth,
        max_time_s=parsed.max_time,
        respect_nofollow=parsed.respect_nofollow,
    )


def url_options(parsed: argparse.Namespace) -> UrlOptions:
    return UrlOptions(
        sort_query=parsed.sort_query,
        drop_parameters=tuple(name for names in parsed.drop_params for name in names.split(",") if name),
        drop_tracking=parsed.drop_tracking,
        drop_session_ids=parsed.drop_session_ids,
    )


def trap_options(parsed: argparse.Namespace) -> TrapOptions | None:
    """None if traps are not to be looked for."""
    return None if parsed.no_traps else TrapOptions()


def handler_name(text: str | None) -> str | None:
    """The handler as workers know it. A file's path is made absolute, and modules beside the shell are found."""
    if text is None:
        return None
    place, qualname = split_name(text)
    if place.endswith(".py"):
        return f"{Path(place).resolve()}:{qualname}"
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return text


def _headers(texts: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, colon, value = text.partition(":")
        name = name.strip()
        if not colon or not name:
            raise InvalidOption("--header: write 'NAME: VALUE'")  # and not what was written: it may be a secret
        if name.lower() in (other.lower() for other in found):
            raise InvalidOption(f"--header: {name} is given twice")
        found[name] = _secret("--header", value.strip())
    return found


def _auth(text: str) -> OriginOptions:
    origin, equals, secret = text.partition("=")
    user, colon, password = secret.partition(":")
    if not equals or not colon:
        raise InvalidOption("--auth: write ORIGIN=USER:PASSWORD, such as https://example.org=me:env:MY_PASSWORD")
    return OriginOptions(origin=origin, auth=(user, _secret("--auth", password)))


def _secret(option: str, text: str) -> str:
    """What was given, or the variable of the environment that it names."""
    if not text.startswith("env:"):
        return text
    name = text.removeprefix("env:")
    value = os.environ.get(name)
    if value is None:
        raise InvalidOption(f"{option}: the environment has no variable {name}")
    return value


def _resolve(text: str) -> Resolve:
    host, _, rest = text.partition(":")
    port, _, address = rest.partition(":")
    try:
        return Resolve(host=host.lower(), port=int(port), address=str(ipaddress.ip_address(address.strip("[]"))))
    except ValueError:
        raise InvalidOption(f"--resolve {text!r}: write HOST:PORT:ADDR with an IP address") from None


def check_writable(option: str, path: str | None) -> None:
    """Raises UsageError unless a file can be made or replaced there; changes nothing."""
    if path is None:
        return
    target = Path(path)
    if target.is_dir():
        raise UsageError(f"{option} {path}: it is a directory")
    if not target.resolve().parent.is_dir():
        raise UsageError(f"{option} {path}: its folder does not exist")
    try:
        existed = target.exists()
        with target.open("a"):
            pass
        if not existed:
            target.unlink()
    except OSError as error:
        raise UsageError(f"{option} {path}: {(error.strerror or str(error)).lower()}") from error


def check_distinct(paths: Mapping[str, str | None]) -> None:
    """Raises UsageError where two options name one file: each would overwrite the other's."""
    options: dict[Path, str] = {}
    for option, path in paths.items():
        if path is not None and path != "-":
            other = options.setdefault(Path(path).resolve(), option)
            if other != option:
                raise UsageError(f"{other} and {option} name the same file, {path}")
