"""A web service that crawls on request, inside its own event loop.

    python examples/embed_in_app.py [PORT]
    curl 'http://127.0.0.1:8080/titles?url=https://example.org/&pages=10'

The pool of workers is started once and shared by all requests; each request gets a crawler of its own, answers
line by line while the crawl runs, and ends the crawl when its client goes away. A start URL may be a private address:
before you let strangers call it, let it reach public addresses only (docs/security.md, "What is yours to do").
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing

from aiohttp import web

from scraper import Crawler, InvalidURL, LimitOptions, OffloadPool

POOL = web.AppKey("pool", OffloadPool)


async def workers(app: web.Application) -> AsyncIterator[None]:
    async with OffloadPool() as pool:
        app[POOL] = pool
        yield


async def titles(request: web.Request) -> web.StreamResponse:
    try:
        url = request.query["url"]
        limits = LimitOptions(max_pages=min(int(request.query.get("pages", "20")), 1000), max_time_s=60)
    except (KeyError, ValueError) as error:  # an InvalidOption is a ValueError
        raise web.HTTPBadRequest(text=f"write /titles?url=URL&pages=N ({error})") from error
    response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
    async with (
        Crawler(offload=request.app[POOL], limits=limits) as crawler,
        aclosing(crawler.stream(url)) as items,
    ):
        try:
            first = await anext(items, None)
        except InvalidURL as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        await response.prepare(request)
        if first is not None:
            await response.write(line(first))
        async for item in items:
            await response.write(line(item))
    await response.write_eof()
    return response


def line(item: dict[str, object]) -> bytes:
    return json.dumps({"url": item["url"], "title": item["title"]}).encode() + b"\n"


def app() -> web.Application:
    application = web.Application()
    application.cleanup_ctx.append(workers)
    application.router.add_get("/titles", titles)
    return application


async def main() -> None:
    runner = web.AppRunner(app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8080)
    await site.start()
    print(f"serving http://127.0.0.1:{runner.addresses[0][1]}/titles?url=...", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("stopped")
