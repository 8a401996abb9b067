"""A request as a state file keeps it: its URL, its priority, and the rest as JSON where there is any."""

from __future__ import annotations

import base64
import json

from scraper import urls
from scraper.errors import UsageError
from scraper.model import Request


def more_of(request: Request) -> str | None:
    """What URL and priority do not say.

    Raises:
        UsageError: the request's data has no JSON form.
    """
    rest = {
        "handler": request.handler,
        "method": None if request.method == "GET" else request.method,
        "headers": [list(pair) for pair in request.headers] or None,
        "body": None if request.body is None else base64.b64encode(request.body).decode(),
        "data": request.data,
        "dedup_key": request.dedup_key,
        "accept": list(request.accept) or None,
    }
    said = {name: value for name, value in rest.items() if value is not None}
    try:
        return json.dumps(said, separators=(",", ":")) if said else None
    except (TypeError, ValueError, RecursionError) as error:
        shown = urls.without_credentials(request.url)
        raise UsageError(f"the data of the request for {shown} cannot be stored as JSON: {error}") from error


def request_of(url: str, priority: int, more: str | None) -> Request:
    """The request that was stored."""
    if more is None:
        return Request.plain(url) if priority == 0 else Request(url, priority=priority)
    said = json.loads(more)
    body = said.get("body")
    return Request(
        url,
        handler=said.get("handler"),
        method=said.get("method", "GET"),
        headers=tuple((name, value) for name, value in said.get("headers", ())),
        body=None if body is None else base64.b64decode(body),
        data=said.get("data"),
        priority=priority,
        dedup_key=said.get("dedup_key"),
        accept=tuple(said.get("accept", ())),
    )
