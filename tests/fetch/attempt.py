"""One attempt, with a fetcher of its own."""

from typing import Any

from scraper.fetch import AioFetcher, Gate, IsNamed
from scraper.model import Failure, Request, Response, Skip
from scraper.options import FetchOptions


def open_gate(_: Request, __: str) -> Skip | None:
    """Lets every hop pass."""
    return None


async def attempt(
    request: Request | str, gate: Gate = open_gate, is_named: IsNamed | None = None, **options: Any
) -> Response | Failure | Skip:
    async with AioFetcher(FetchOptions(**options), gate, 4, is_named) as fetcher:
        return await fetcher.fetch(request if isinstance(request, Request) else Request(request))
