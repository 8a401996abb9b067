"""What a handler or a function does while it runs, and where it runs best."""

from __future__ import annotations

import asyncio
import gzip
import pickle
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from scraper.errors import UsageError
from scraper.model import Request, Response
from scraper.offload.costs import LoopCost
from scraper.offload.interpreters import loads_in_interpreter
from scraper.offload.machine import machine_async
from scraper.offload.probe.judge import Setting, judge
from scraper.offload.probe.process import Probing
from scraper.offload.probe.values import ProbeReport
from scraper.offload.values import Work
from scraper.options import PARSERS, ExecutorName, OffloadOptions, ParserName, check_choice, check_positive
from scraper.parse.extract import encode_task
from scraper.urls import canonical

_T = TypeVar("_T")

Pages = str | Path | Iterable[bytes | tuple[str, bytes]]

# More would not be run in the time there is; the child takes them in their order, so they are spread evenly.
_MOST_PAGES = 200
_MOST_BYTES = 20_000_000

_SUFFIXES = (".html", ".htm", ".xhtml")
_URL = "https://probe.invalid/"


async def probe(
    function: Callable[[Any], Any] | str,
    pages: Pages,
    *,
    parser: ParserName = "lxml",
    raw: bool = False,
    budget_s: float = 4.0,
    cpus: int | None = None,
    loop: LoopCost | None = None,
) -> ProbeReport:
    """Measures what a function does while it runs, and predicts where it runs best.

    It runs in a quiet process of its own, which is ended after some ten seconds at most, whatever the function does.
    Cancelling ends it at once.

    Args:
        function: a handler, or its name; it needs a name that a worker can import.
        pages: bodies, (URL, body) pairs, or a folder with HTML files, which may be packed with gzip.
        parser: lxml, lexbor, html.parser or bs4.
        raw: the function takes bytes instead of a page.
        budget_s: time for measuring; more gives less uncertainty. The first probe on a machine takes two seconds more.
        cpus: cores that the recommendation is for; None is those of this process.
        loop: what the event loop's thread does beside it for each page; None is parsing alone.

    Raises:
        UsageError: no pages, no such parser, or a function that cannot be imported.
        FunctionFailed: the function raised on every page.
        WorkerCrashed: it ended its process.
        WorkerStartFailed: it could not be loaded.
    """
    check_choice("parser", parser, PARSERS)
    check_positive("budget", budget_s)
    check_positive("cores", cpus)
    work = _work(function, parser, raw=raw)
    blobs = await asyncio.to_thread(_blobs, pages, raw=raw)
    machine = await machine_async()
    probing = Probing(work, blobs, budget_s=budget_s, memory_bytes=OffloadOptions().memory_bytes)
    measuring = asyncio.ensure_future(asyncio.to_thread(probing.run))
    try:
        measured = await asyncio.shield(measuring)
    except asyncio.CancelledError:
        probing.cancel()
        await asyncio.wait([measuring])
        measuring.exception()  # that it was ended
        raise
    executors: list[ExecutorName] = ["inline", "thread", "process"]
    if await loads_in_interpreter(work) is None:
        executors.append("interpreter")
    setting = Setting(machine, cpus or machine.cpus, loop or machine.mapping, executors)
    return judge(work.title, measured, setting)


def probe_now(
    function: Callable[[Any], Any] | str,
    pages: Pages,
    *,
    parser: ParserName = "lxml",
    raw: bool = False,
    budget_s: float = 4.0,
    cpus: int | None = None,
    loop: LoopCost | None = None,
) -> ProbeReport:
    """The same as `probe` for a plain script. Where an event loop runs, as in a notebook, `await probe(...)`."""
    return asyncio.run(probe(function, pages, parser=parser, raw=raw, budget_s=budget_s, cpus=cpus, loop=loop))


def read_pages(folder: Path) -> list[tuple[str, bytes]]:
    """(URL, body) of HTML files in a folder and below it, at most some hundreds of them, evenly spread.

    Raises:
        UsageError: no such folder, or none of its files can be used.
    """
    if not folder.is_dir():
        raise UsageError(f"pages {folder}: there is no such folder")
    paths = sorted(path for path in folder.rglob("*") if _is_page(path))
    if not paths:
        raise UsageError(f"pages {folder}: no HTML files in it ({', '.join(_SUFFIXES)}, or these with .gz)")
    pages: list[tuple[str, bytes]] = []
    room_bytes = _MOST_BYTES
    for path in _spread(paths)[:_MOST_PAGES]:
        body = _read(path)
        room_bytes -= len(body)
        if pages and room_bytes < 0:
            break
        pages.append((f"{_URL}{path.relative_to(folder).as_posix()}", body))
    return pages


def _is_page(path: Path) -> bool:
    name = path.name.lower().removesuffix(".gz")
    return name.endswith(_SUFFIXES) and path.is_file()


def _read(path: Path) -> bytes:
    try:
        body = path.read_bytes()
        return gzip.decompress(body) if path.suffix.lower() == ".gz" else body
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def _spread(items: Sequence[_T]) -> list[_T]:
    """All of them, in an order whose every beginning is spread evenly: van der Corput's, halves before quarters."""
    bits = max(len(items) - 1, 1).bit_length()
    order = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(1 << bits))
    return [items[index] for index in order if index < len(items)]


def _work(function: Callable[[Any], Any] | str, parser: ParserName, *, raw: bool) -> Work:
    work = Work.of(function)
    return work if raw else Work("scraper.parse.strict:strict_extractor", (parser, work.title))


def _blobs(pages: Pages, *, raw: bool) -> list[bytes]:
    """Payloads as workers get them."""
    if isinstance(pages, str | Path):
        found = read_pages(Path(pages))
    else:
        found = [(_URL, page) if isinstance(page, bytes) else page for page in pages]
    if not found:
        raise UsageError("there are no pages to probe with")
    return [pickle.dumps(body if raw else _task(url, body), pickle.HIGHEST_PROTOCOL) for url, body in found]


def _task(url: str, body: bytes) -> tuple[Any, ...]:
    headers = (("content-type", "text/html"),)
    response = Response(url=canonical(url), status=200, headers=headers, body=body, wire_bytes=len(body), latency_s=0.0)
    return encode_task(Request(url), response)
