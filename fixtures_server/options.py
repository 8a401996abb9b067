"""What a user can set, validated once: a synthetic site, a directory of saved pages, or a world of hosts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from fixtures_server.errors import OptionsRefused

Distribution = Literal["constant", "lognormal"]

# The markup that every page has, and that around one link, at their largest: what is left of `page_bytes` is text.
FRAME_BYTES = 1800
LINK_BYTES = 110

# Beyond these a typing error is likelier than a wish: they keep one page in memory and one site in an integer's range.
MAX_PAGES = 10_000_000
MAX_PAGE_BYTES = 100_000_000
MAX_LATENCY_S = 300.0
MAX_HOSTS = 1000


@dataclass(frozen=True, slots=True)
class SiteOptions:
    """A synthetic site: the same options give the same bytes and the same links, on every machine.

    pages: how many pages the site has; all of them can be reached from `/`
    page_bytes: the size of each page's body
    links_per_page: links on each page, to distinct pages where enough are near: `/` has only its children to link to,
        and repeats them
    fan_out: how many pages each page is the first to link to, so `1` gives a chain as deep as the site has pages;
        by default half of the links, a wide and shallow site. It is the breadth-first tree of the link graph.
    latency_s: mean wait before a page is answered
    distribution: `constant`, or `lognormal`: most pages a little faster, some much slower. A page's latency depends
        on the seed and its path only, so every crawl of a site waits for the same pages.
    seed: another seed gives other text, other links and other latencies
    gzip: answer with `Content-Encoding: gzip` where the client accepts that

    Raises OptionsRefused (a ValueError) for a value out of its range.
    """

    pages: int = 1000
    page_bytes: int = 20_000
    links_per_page: int = 20
    fan_out: int | None = None
    latency_s: float = 0.0
    distribution: Distribution = "constant"
    seed: int = 0
    gzip: bool = False

    def __post_init__(self) -> None:
        _require_between("pages", self.pages, 1, MAX_PAGES)
        _require_between("links_per_page", self.links_per_page, 1, MAX_PAGE_BYTES // LINK_BYTES)
        least = FRAME_BYTES + LINK_BYTES * self.links_per_page
        if not least <= self.page_bytes <= MAX_PAGE_BYTES:
            raise OptionsRefused(
                f"page_bytes must be between {least} (what {self.links_per_page} links need)"
                f" and {MAX_PAGE_BYTES}, not {self.page_bytes}"
            )
        if self.fan_out is not None and self.fan_out != 1:
            # One link of each page goes to the next page; only in a chain is that the same as its child.
            _require_between("fan_out", self.fan_out, 1, max(1, self.links_per_page - 1))
        _require_latency(self.latency_s, self.distribution)

    @property
    def children_per_page(self) -> int:
        """The fan-out in force: the one given, or half of the links."""
        return self.fan_out if self.fan_out is not None else max(1, self.links_per_page // 2)


@dataclass(frozen=True, slots=True)
class CorpusOptions:
    """A directory to serve: saved pages with a `manifest.json`, or any static tree of HTML.

    directory: the directory; a relative one is taken from the current directory
    latency_s, distribution, seed, gzip: as in `SiteOptions`

    Raises OptionsRefused (a ValueError) for a value out of its range, or a directory that is not there.
    """

    directory: Path
    latency_s: float = 0.0
    distribution: Distribution = "constant"
    seed: int = 0
    gzip: bool = False

    def __post_init__(self) -> None:
        # Absolute, because the server's process may have another current directory.
        object.__setattr__(self, "directory", Path(self.directory).resolve())
        if not self.directory.is_dir():
            raise OptionsRefused(f"{self.directory} is not a directory")
        _require_latency(self.latency_s, self.distribution)


@dataclass(frozen=True, slots=True)
class WorldOptions:
    """Hosts with names, each with pages, rules, a pace and a mood of its own: the same options give the same world.

    hosts: how many; from 24 on every kind is there, beyond 31 the others are plain ones
    pages: the synthetic pages of each host, beside those that its kind adds; a million last any crawl
    page_bytes, links_per_page: as in `SiteOptions`
    directory: pages of this corpus, dealt out among the hosts, instead of synthetic ones
    latency_s: the mean of most hosts' lognormal latencies; one is ten times as slow
    crawl_delay_s: what the hosts ask for that ask for a Crawl-delay
    down_s: how long one host answers nothing, from its first request on
    seed: another seed gives other pages, and other hosts behind each link

    Raises OptionsRefused (a ValueError) for a value out of its range, or a directory that is not there.
    """

    hosts: int = 50
    pages: int = 20
    page_bytes: int = 4000
    links_per_page: int = 8
    directory: Path | None = None
    latency_s: float = 0.02
    crawl_delay_s: float = 0.5
    down_s: float = 3.0
    seed: int = 0

    def __post_init__(self) -> None:
        _require_between("hosts", self.hosts, 3, MAX_HOSTS)
        self.site(0)
        if self.directory is not None:
            object.__setattr__(self, "directory", CorpusOptions(self.directory).directory)
        for name in ("crawl_delay_s", "down_s"):
            value = getattr(self, name)
            if not 0.0 <= value <= MAX_LATENCY_S:
                raise OptionsRefused(f"{name} must be between 0 and {MAX_LATENCY_S:g} seconds, not {value}")

    def site(self, seed: int) -> SiteOptions:
        """The synthetic pages of one host."""
        return SiteOptions(
            pages=self.pages,
            page_bytes=self.page_bytes,
            links_per_page=self.links_per_page,
            latency_s=self.latency_s,
            distribution="lognormal",
            seed=seed,
        )


def _require_between(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise OptionsRefused(f"{name} must be between {low} and {high}, not {value}")


def _require_latency(latency_s: float, distribution: str) -> None:
    if not 0.0 <= latency_s <= MAX_LATENCY_S:  # a NaN is in no range either
        raise OptionsRefused(f"latency_s must be between 0 and {MAX_LATENCY_S:g} seconds, not {latency_s}")
    if distribution not in get_args(Distribution):
        raise OptionsRefused(f"distribution must be one of {', '.join(get_args(Distribution))}, not {distribution}")
