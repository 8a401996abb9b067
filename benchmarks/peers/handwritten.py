"""A crawler as one writes it by hand: aiohttp, lxml, a queue and some workers. Fixed: others are measured by it."""

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import TextIO
from urllib.parse import urldefrag, urljoin

import aiohttp
import lxml.html


def text_of(elements: list) -> str | None:
    return " ".join(elements[0].text_content().split()) if elements else None


def first(values: list) -> str | None:
    return values[0] if values else None


def outline(url: str, status: int, body: bytes) -> tuple[dict, set[str]]:
    tree = lxml.html.fromstring(body)
    links = set()
    for href in tree.xpath("//a/@href"):
        link, _fragment = urldefrag(urljoin(url, href.strip()))
        if link.startswith(("http://", "https://")):
            links.add(link)
    item = {
        "url": url,
        "status": status,
        "title": text_of(tree.xpath("//title")),
        "h1": text_of(tree.xpath("//h1")),
        "description": first(tree.xpath('//meta[@name="description"]/@content')),
        "canonical": first(tree.xpath('//link[@rel="canonical"]/@href')),
        "lang": tree.get("lang"),
        "links": len(links),
    }
    return item, links


async def crawl(seed: str, output: TextIO, concurrency: int) -> None:
    folder = seed.rsplit("/", 1)[0] + "/"
    seen = {seed}
    queue: asyncio.Queue[str] = asyncio.Queue()
    queue.put_nowait(seed)
    pages = 0

    async def worker() -> None:
        nonlocal pages
        while True:
            url = await queue.get()
            try:
                async with session.get(url) as response:
                    body = await response.read()
                if response.status != 200:
                    continue
                item, links = outline(url, response.status, body)
                output.write(json.dumps(item, ensure_ascii=False) + "\n")
                pages += 1
                for link in links:
                    if link.startswith(folder) and link not in seen:
                        seen.add(link)
                        queue.put_nowait(link)
            except aiohttp.ClientError as error:
                print(url, error)
            finally:
                queue.task_done()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:
        started = time.perf_counter()
        workers = [asyncio.create_task(worker()) for _ in range(concurrency)]
        await queue.join()
        elapsed_s = time.perf_counter() - started
        for task in workers:
            task.cancel()
    print(json.dumps({"pages": pages, "elapsed_s": elapsed_s}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("seed")
    parser.add_argument("output")
    parser.add_argument("--concurrency", type=int, default=32)
    options = parser.parse_args()
    with Path(options.output).open("w", encoding="utf-8") as output:
        asyncio.run(crawl(options.seed, output, options.concurrency))
