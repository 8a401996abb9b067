"""A handler of your own: items as a dataclass, two kinds of pages, a file as output.

The same from the shell, against a site that runs: `python -m fixtures_server --port 8080 --pages 60`, then
`scraper crawl http://127.0.0.1:8080/ --handler examples/own_handler.py:parse --output products.csv`
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fixtures_server import FixtureServer, SiteOptions
from scraper import Crawler, CsvSink, Page, Request


@dataclass
class Price:
    url: str
    shop: str
    product: str
    price_eur: float


def parse(page: Page) -> Iterator[Request]:
    """A page of the catalogue: follow its products, and the next page."""
    yield from page.follow("a.product", handler=parse_product)
    yield from page.follow("a.next")


def parse_product(page: Page) -> Iterator[Price]:
    """A page of a product: one item for each row of its table of prices."""
    for row in page.css("table.prices tr"):
        name, price = row.css_first("th"), row.css_first("td")
        if name is not None and price is not None:
            yield Price(page.url, page.title or "", name.text, float(price.text.split()[0]))


async def main() -> None:
    async with FixtureServer(SiteOptions(pages=60, page_bytes=8_000)) as site:
        with TemporaryDirectory() as folder:
            output = Path(folder) / "prices.csv"
            async with Crawler(parse, parser="lexbor") as crawler:
                stats = await crawler.run(site.url, sinks=[CsvSink(output)])
            lines = output.read_text(encoding="utf-8").splitlines()
    print("\n".join(lines[:5]))
    print(f"{stats.items} prices from {stats.done} pages in {stats.elapsed_s:.1f} s")


if __name__ == "__main__":
    asyncio.run(main())
