"""A synthetic site: its link graph and its pages, both pure functions of the options."""

from __future__ import annotations

import random
from math import gcd
from typing import TYPE_CHECKING

from fixtures_server.content import Resource, number_from
from fixtures_server.prose import Prose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fixtures_server.options import SiteOptions

_FRAGMENT_EVERY = 7  # links with a fragment are the same page: a crawler has to see that


class SyntheticSite:
    """The pages of a site, numbered from 0 (at `/`) in breadth-first order; page n is at `/page/n`.

    Page n is the first to link to its children `n·k+1 … n·k+k` (k is the fan-out), and no page links further than
    one level below its own, so `depth_of(n)` is also the least number of clicks from `/`.
    """

    def __init__(self, options: SiteOptions) -> None:
        self.options = options
        self._fan_out = options.children_per_page
        self._prose: Prose | None = None

    def paths(self) -> list[str]:
        """Every path of the site; all are reachable from the first, `/`."""
        return [self.path_of(page) for page in range(self.options.pages)]

    def path_of(self, page: int) -> str:
        """The path of a page. Raises IndexError where the site has no such page."""
        if not 0 <= page < self.options.pages:
            raise IndexError(f"the site has the pages 0 to {self.options.pages - 1}, not {page}")
        return f"/page/{page}" if page else "/"

    def depth_of(self, page: int) -> int:
        """The least number of links to follow from `/` to a page."""
        if self._fan_out == 1:
            return page
        depth, last, width = 0, 0, 1
        while page > last:
            width *= self._fan_out
            last += width
            depth += 1
        return depth

    def links_of(self, page: int) -> list[int]:
        """The pages that a page links to, in document order: `links_per_page` of them.

        All are distinct unless too few pages exist at its level, one below, and above; then they repeat in turn.
        """
        distinct = list(dict.fromkeys(self._link_targets(page)))
        count = self.options.links_per_page
        return (distinct * (count // len(distinct) + 1))[:count]

    def resource(self, path: str) -> Resource | None:
        """The page at a path; `/page/0` leads to `/`, where that page is."""
        if path == "/":
            return Resource(self.render(0))
        prefix, number = path[:6], path[6:]
        if prefix != "/page/" or not (number.isascii() and number.isdigit()) or len(number) > 8:
            return None
        page = int(number)
        if page >= self.options.pages or number != str(page):
            return None
        return Resource(self.render(page)) if page else Resource(status=301, location="/")

    def render(self, page: int) -> bytes:
        """The body of a page, `page_bytes` long."""
        if self._prose is None:  # only a server needs it; a test that asks for the graph alone does not
            self._prose = Prose(self.options.seed)
        prose = self._prose
        rng = random.Random(number_from(self.options.seed, "page", page))  # noqa: S311 -- reproducible, not secret
        links = self.links_of(page)
        next_page = page + 1 if page + 1 < self.options.pages else None
        own_children = len(self._children(page)) - (next_page in self._children(page))
        first_card = 0 if next_page is None else 1
        hrefs = [_href(page, target, position) for position, target in enumerate(links)]
        cards = hrefs[first_card : first_card + own_children]
        plain = hrefs[first_card + own_children :]

        top = prose.top(rng, page, self.path_of(page), plain[: len(plain) // 2])
        middle = prose.middle(rng, page, cards)
        bottom = prose.bottom(rng, page, plain[len(plain) // 2 :], hrefs[0] if first_card else None)
        rest = self.options.page_bytes - len(top) - len(middle) - len(bottom)
        return b"".join([top, middle, *prose.filling(rng, rest), bottom])

    def _children(self, page: int) -> range:
        first = page * self._fan_out + 1
        pages = self.options.pages
        return range(min(first, pages), min(first + self._fan_out, pages))

    def _link_targets(self, page: int) -> Iterator[int]:
        children = self._children(page)
        if page + 1 < self.options.pages:
            yield page + 1
        yield from children
        yield 0
        window = self._window(page)
        wanted = self.options.links_per_page + len(children) + 3  # the links above are met again
        start = number_from(self.options.seed, "start", page) % window
        stride = number_from(self.options.seed, "stride", page) % window or 1
        while gcd(stride, window) != 1:  # coprime, so the progression meets every page once before it repeats
            stride += 1
        for step in range(min(wanted, window)):
            target = (start + step * stride) % window
            if target != page:
                yield target

    def _window(self, page: int) -> int:
        """How many pages lie at most one level below a page: they are the first ones."""
        below = self.depth_of(page) + 1
        k = self._fan_out
        at_most = below + 1 if k == 1 else (k ** (below + 1) - 1) // (k - 1)
        return min(at_most, self.options.pages)


def _href(page: int, target: int, position: int) -> str:
    """A link as people write them: absolute paths, relative ones, some with a fragment."""
    fragment = "#prices" if position % _FRAGMENT_EVERY == _FRAGMENT_EVERY - 1 else ""
    if target == 0:
        return "/" + fragment
    form = position % 3
    if form == 0:
        return f"/page/{target}{fragment}"
    if form == 1:
        return f"page/{target}{fragment}" if page == 0 else f"{target}{fragment}"
    return f"./page/{target}{fragment}" if page == 0 else f"../page/{target}{fragment}"
