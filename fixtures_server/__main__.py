"""`python -m fixtures_server`: the site from a shell, and the child process behind `FixtureServer`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, get_args

from fixtures_server.access_log import AccessLog
from fixtures_server.corpus import Corpus
from fixtures_server.errors import OptionsRefused
from fixtures_server.options import CorpusOptions, Distribution, SiteOptions, WorldOptions
from fixtures_server.process import EXIT_WITH_PARENT, READY
from fixtures_server.server import FAULTS_PREFIX, Server
from fixtures_server.site import SyntheticSite
from fixtures_server.world_server import WORLD_PATH, WorldServer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fixtures_server.content import Content

# How often the child looks whether its parent is still there. Normally the pipe tells it at once; this is for a parent
# that died while a process forked from it holds the other end.
_PARENT_CHECK_S = 1.0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until it is told to stop. Returns the exit status: 0, or 2 where it did not start."""
    parser = _arguments()
    given = parser.parse_args(arguments)
    try:
        options = _options(given)
        with contextlib.ExitStack() as stack:
            file = None
            if given.access_log is not None:
                # Line by line, so that a reader sees whole lines, and a killed server loses none.
                file = stack.enter_context(given.access_log.open("a", encoding="utf-8", buffering=1))
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(_serve(_server(options, AccessLog(file)), given))
    except OptionsRefused as exc:
        parser.error(str(exc))
    except OSError as exc:
        parser.error(f"cannot start: {exc}")
    except KeyboardInterrupt:
        pass  # before the loop took over the signal
    return 0


def _server(options: SiteOptions | CorpusOptions | WorldOptions, log: AccessLog) -> Server | WorldServer:
    if isinstance(options, WorldOptions):
        return WorldServer(options, log)
    content: Content = Corpus(options) if isinstance(options, CorpusOptions) else SyntheticSite(options)
    return Server(content, options, log)


async def _serve(server: Server | WorldServer, given: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    port = await server.start(given.host, given.port)
    host = f"[{given.host}]" if ":" in given.host else given.host
    url = f"http://{host}:{port}"
    if isinstance(server, WorldServer):
        more = f"{len(server.world.hosts)} hosts, told of at {url}{WORLD_PATH}"
    else:
        more = f"faults at {url}{FAULTS_PREFIX}"
    sys.stdout.write(f"{READY}{url}/ ({more})\n")
    sys.stdout.flush()
    watch = loop.create_task(_watch_parent(stop, os.getppid())) if given.exit_with_parent else None
    await stop.wait()
    if watch is not None:
        watch.cancel()
    await server.stop()


async def _watch_parent(stop: asyncio.Event, parent: int) -> None:
    """Stop the server when its parent has closed the pipe to it, or is gone."""
    loop = asyncio.get_running_loop()
    pipe, _ = await loop.connect_read_pipe(lambda: _Pipe(stop), sys.stdin)
    try:
        while os.getppid() == parent:  # noqa: ASYNC110 -- another process's end sets no event here
            await asyncio.sleep(_PARENT_CHECK_S)
    finally:
        pipe.close()
    stop.set()


class _Pipe(asyncio.Protocol):
    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def eof_received(self) -> None:
        self._stop.set()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._stop.set()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 -- optional; it takes a seventh off a request
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _options(given: argparse.Namespace) -> SiteOptions | CorpusOptions | WorldOptions:
    names = {name: value for name, value in vars(given).items() if name not in _OTHER}
    if "hosts" in names:
        if {"gzip", "distribution", "fan_out"} & names.keys():
            raise OptionsRefused("--gzip, --distribution and --fan-out are for one site, not for --world")
        return WorldOptions(**names)
    if {"crawl_delay_s", "down_s"} & names.keys():
        raise OptionsRefused("--crawl-delay and --down are for --world")
    if "directory" not in names:
        return SiteOptions(**names)
    if {"pages", "page_bytes", "links_per_page", "fan_out"} & names.keys():
        raise OptionsRefused("--pages, --page-bytes, --links and --fan-out are for a synthetic site, not for --corpus")
    return CorpusOptions(**names)


_OTHER = ("host", "port", "access_log", "exit_with_parent")


def _arguments() -> _Parser:
    # Options without a default are left out of the result, so that the defaults stand in options.py alone.
    parser = _Parser(
        prog="fixtures_server",
        description="A local web site for crawlers.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--host", type=_loopback, default="127.0.0.1", help="a loopback address (127.0.0.1)")
    parser.add_argument("--port", type=_port, default=0, help="a free one by default")
    parser.add_argument("--pages", type=int, metavar="N", help="pages of the synthetic site (1000)")
    parser.add_argument("--page-bytes", type=int, metavar="N", help="bytes of each page (20000)")
    parser.add_argument("--links", type=int, metavar="N", dest="links_per_page", help="links on each page (20)")
    parser.add_argument("--fan-out", type=int, metavar="N", help="new pages each page leads to (half of the links)")
    parser.add_argument("--latency", type=float, metavar="S", dest="latency_s", help="mean seconds before a page (0)")
    parser.add_argument("--distribution", choices=get_args(Distribution), help="of the latency (constant)")
    parser.add_argument("--seed", type=int, metavar="N", help="another seed, another site (0)")
    parser.add_argument("--gzip", action="store_true", help="answer in gzip where the client accepts it")
    parser.add_argument("--corpus", type=Path, metavar="DIR", dest="directory", help="serve a directory instead")
    parser.add_argument("--world", type=int, metavar="N", dest="hosts", help="so many hosts with names, each a site")
    parser.add_argument(
        "--crawl-delay", type=float, metavar="S", dest="crawl_delay_s", help="that some hosts of a world ask for (0.5)"
    )
    parser.add_argument(
        "--down", type=float, metavar="S", dest="down_s", help="seconds that one host of a world is down at first (3)"
    )
    parser.add_argument("--access-log", type=Path, metavar="FILE", default=None, help="append a JSON line a request")
    parser.add_argument(EXIT_WITH_PARENT, action="store_true", default=False, help=argparse.SUPPRESS)
    return parser


def _loopback(text: str) -> str:
    try:
        address = ipaddress.ip_address("127.0.0.1" if text == "localhost" else text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not an IP address") from None
    if not address.is_loopback:
        raise argparse.ArgumentTypeError(f"{text} is not a loopback address; this server is for this machine alone")
    return str(address)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"must be between 0 and 65535, not {text}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
