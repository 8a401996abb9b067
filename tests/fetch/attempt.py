"""One attempt, with a fetcher of its own."""

from typing import Any

from scraper.fetch import AioFetcher, Gate, IsNamed, OpenGate
from scraper.model import Failure, Request, Response, Skip
from scraper.options import FetchOptions

OPEN_GATE = OpenGate()


async def attempt(
    request: Request | str, gate: Gate = OPEN_GATE, is_named: IsNamed | None = None, **options: Any
) -> Response | Failure | Skip:
    async with AioFetcher(FetchOptions(**options), gate, 4, is_named) as fetcher:
        return await fetcher.fetch(request if isinstance(request, Request) else Request(request))
