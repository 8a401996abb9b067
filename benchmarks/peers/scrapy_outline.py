"""The outline crawl with Scrapy: breadth first, its own scheduler, duplicate filter and JSON lines feed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import scrapy
from scrapy.crawler import CrawlerProcess
from shared import Clock, absolute_links, arguments, collapsed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class OutlineSpider(scrapy.Spider):
    name = "outline"

    def __init__(self, seed: str, folder: str, clock: Clock, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.folder = folder
        self.clock = clock

    async def start(self) -> AsyncIterator[scrapy.Request]:
        self.clock.start()
        yield scrapy.Request(self.seed)

    def parse(self, response: Any) -> Iterator[Any]:
        links = absolute_links(response.url, response.xpath("//a/@href").getall())
        yield {
            "url": response.url,
            "status": response.status,
            "title": collapsed(response.xpath("string(//title)").get()),
            "h1": collapsed(response.xpath("string(//h1)").get()),
            "description": response.xpath('//meta[@name="description"]/@content').get(),
            "canonical": response.xpath('//link[@rel="canonical"]/@href').get(),
            "lang": response.xpath("/html/@lang").get(),
            "links": len(links),
        }
        self.clock.page()
        for link in links:
            if link.startswith(self.folder):
                yield scrapy.Request(link)


def main() -> None:
    options = arguments()
    output = Path(options.output).resolve()
    clock = Clock()
    process = CrawlerProcess(
        {
            "LOG_LEVEL": "ERROR",
            "ASYNCIO_EVENT_LOOP": "uvloop.Loop",
            "TELNETCONSOLE_ENABLED": False,
            "COOKIES_ENABLED": False,
            "ROBOTSTXT_OBEY": False,
            "DOWNLOAD_DELAY": 0,
            "CONCURRENT_REQUESTS": options.concurrency,
            "CONCURRENT_REQUESTS_PER_DOMAIN": options.concurrency,
            # Breadth first, as Scrapy's documentation sets it up.
            "DEPTH_PRIORITY": 1,
            "SCHEDULER_DISK_QUEUE": "scrapy.squeues.PickleFifoDiskQueue",
            "SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue",
            "FEEDS": {output.as_uri(): {"format": "jsonlines", "encoding": "utf8", "overwrite": True}},
        }
    )
    process.crawl(OutlineSpider, seed=options.seed, folder=options.folder, clock=clock)
    process.start()
    clock.report()


if __name__ == "__main__":
    main()
