"""The outline crawl with silkworm-rs: its own engine, selectors and JSON lines pipeline, on uvloop."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ["SILKWORM_LOG_LEVEL"] = "ERROR"  # read at import; a line a page costs it a tenth of its speed

from shared import Clock, absolute_links, arguments, collapsed
from silkworm import HTMLResponse, Response, Spider, run_spider_uvloop
from silkworm.pipelines import JsonLinesPipeline


class OutlineSpider(Spider):
    name = "outline"

    def __init__(self, seed: str, folder: str, clock: Clock) -> None:
        super().__init__()
        self.start_urls = (seed,)
        self.folder = folder
        self.clock = clock

    async def parse(self, response: Response) -> None:
        if not isinstance(response, HTMLResponse) or response.status != 200:
            return

        async def text(selector: str) -> str | None:
            found = await response.select_first(selector)
            return collapsed(found.text) if found else None

        async def attribute(selector: str, name: str) -> str | None:
            found = await response.select_first(selector)
            return found.attr(name) if found else None

        anchors: list[Any] = await response.select("a[href]")
        links = absolute_links(response.url, (anchor.attr("href") for anchor in anchors))
        await self.emit(
            {
                "url": response.url,
                "status": response.status,
                "title": await text("title"),
                "h1": await text("h1"),
                "description": await attribute('meta[name="description"]', "content"),
                "canonical": await attribute('link[rel="canonical"]', "href"),
                "lang": await attribute("html", "lang"),
                "links": len(links),
            }
        )
        self.clock.page()
        for link in links:
            if link.startswith(self.folder):
                await response.follow(link)


def main() -> None:
    options = arguments()
    Path(options.output).unlink(missing_ok=True)  # the pipeline appends
    clock = Clock()
    clock.start()
    run_spider_uvloop(
        OutlineSpider(options.seed, options.folder, clock),
        concurrency=options.concurrency,
        keep_alive=True,
        item_pipelines=[JsonLinesPipeline(options.output)],
    )
    clock.report()


if __name__ == "__main__":
    main()
