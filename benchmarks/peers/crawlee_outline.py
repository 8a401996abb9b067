"""The outline crawl with Crawlee: its Parsel crawler, memory storage, a fixed concurrency.

Its documentation follows links with `enqueue_links`, which finds and joins them once more. With --own-links the links
that the outline found anyway are added instead, which is about three times as fast on pages with many links.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

import uvloop
from crawlee import ConcurrencySettings
from crawlee.crawlers import ParselCrawler, ParselCrawlingContext
from crawlee.storage_clients import MemoryStorageClient
from shared import Clock, absolute_links, arguments, collapsed


async def main() -> None:
    options = arguments()
    clock = Clock()
    fixed = ConcurrencySettings(
        min_concurrency=options.concurrency,
        max_concurrency=options.concurrency,
        desired_concurrency=options.concurrency,
    )
    crawler = ParselCrawler(
        storage_client=MemoryStorageClient(),
        concurrency_settings=fixed,
        use_session_pool=False,
        retry_on_blocked=False,
        configure_logging=False,
    )
    logging.getLogger("crawlee").setLevel(logging.ERROR)
    with Path(options.output).open("w", encoding="utf-8") as output:  # noqa: ASYNC230 - once

        @crawler.router.default_handler
        async def outline(context: ParselCrawlingContext) -> None:
            page = context.selector
            url = context.request.loaded_url or context.request.url
            links = absolute_links(url, page.xpath("//a/@href").getall())
            item = {
                "url": url,
                "status": context.http_response.status_code,
                "title": collapsed(page.xpath("string(//title)").get()),
                "h1": collapsed(page.xpath("string(//h1)").get()),
                "description": page.xpath('//meta[@name="description"]/@content').get(),
                "canonical": page.xpath('//link[@rel="canonical"]/@href').get(),
                "lang": page.xpath("/html/@lang").get(),
                "links": len(links),
            }
            output.write(json.dumps(item, ensure_ascii=False) + "\n")
            clock.page()
            if options.own_links:
                await context.add_requests([link for link in links if link.startswith(options.folder)])
            else:
                await context.enqueue_links()

        clock.start()
        await crawler.run([options.seed])
    clock.report()


if __name__ == "__main__":
    uvloop.run(main())
