"""The synthetic site alone: pure functions, no server."""

import hashlib
import statistics
from collections import deque
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin

import pytest

from fixtures_server import SiteOptions, SyntheticSite
from fixtures_server.content import latency_s

SHAPES = [
    SiteOptions(pages=300, links_per_page=10),
    SiteOptions(pages=2),
    SiteOptions(pages=1),
    SiteOptions(pages=77, links_per_page=1),
    SiteOptions(pages=77, links_per_page=2),
    SiteOptions(pages=120, links_per_page=6, fan_out=2),
    SiteOptions(pages=90, links_per_page=5, fan_out=1),
    SiteOptions(pages=90, links_per_page=5, fan_out=4),
    SiteOptions(pages=5, links_per_page=30),
]


class _Links(HTMLParser):
    """Links by class, and the rows of the table of prices, as a crawler would read them."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.by_class: dict[str | None, list[str]] = {}
        self.tags: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        href = values.get("href")
        if tag == "a" and href is not None:
            self.hrefs.append(href)
            self.by_class.setdefault(values.get("class"), []).append(href)


def _clicks(site: SyntheticSite) -> dict[int, int]:
    """The least number of clicks to each page that can be reached from the first."""
    clicks, waiting = {0: 0}, deque([0])
    while waiting:
        page = waiting.popleft()
        for target in site.links_of(page):
            if target not in clicks:
                clicks[target] = clicks[page] + 1
                waiting.append(target)
    return clicks


@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_every_page_is_reachable_at_the_depth_that_is_told(options: SiteOptions) -> None:
    site = SyntheticSite(options)
    assert _clicks(site) == {page: site.depth_of(page) for page in range(options.pages)}


def test_a_fan_out_of_one_makes_a_chain() -> None:
    site = SyntheticSite(SiteOptions(pages=50, fan_out=1))
    assert max(_clicks(site).values()) == 49


def test_the_default_shape_is_wide() -> None:
    site = SyntheticSite(SiteOptions(pages=1000))
    assert max(_clicks(site).values()) == 3


@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_the_links_in_the_markup_are_those_of_the_graph(options: SiteOptions) -> None:
    site = SyntheticSite(options)
    for page in range(0, options.pages, 7):
        url = "http://site" + site.path_of(page)
        found = [urldefrag(urljoin(url, href)).url for href in _Links(site.render(page)).hrefs]
        assert sorted(found) == sorted("http://site" + site.path_of(target) for target in site.links_of(page))


def test_links_are_as_many_as_asked_for_and_distinct_where_the_site_is_large_enough() -> None:
    site = SyntheticSite(SiteOptions(pages=5000, links_per_page=20))
    assert all(len(set(site.links_of(page))) == 20 for page in range(1, 5000, 13))
    assert (len(site.links_of(0)), len(set(site.links_of(0)))) == (20, 11)


@pytest.mark.parametrize(
    "options",
    [
        SiteOptions(pages=30, page_bytes=5000, links_per_page=10),
        SiteOptions(pages=30, page_bytes=1910, links_per_page=1),
        SiteOptions(pages=9_999_999, page_bytes=12_800, links_per_page=100),
        SiteOptions(pages=30, page_bytes=300_000, links_per_page=10),
    ],
    ids=str,
)
def test_pages_have_their_size(options: SiteOptions) -> None:
    """The second and third leave the least room that the options allow, so nothing may be cut off either."""
    site = SyntheticSite(options)
    for page in [*range(0, 30, 3), options.pages - 1]:
        body = site.render(page)
        assert abs(len(body) - options.page_bytes) <= 0.05 * options.page_bytes
        assert body.endswith(b"</html>\n")


def test_a_page_has_what_handlers_look_for() -> None:
    site = SyntheticSite(SiteOptions(pages=100, links_per_page=10))
    page = _Links(site.render(3))
    assert [urljoin("http://site/page/3", href) for href in page.by_class["next"]] == ["http://site/page/4"]
    assert len(page.by_class["product"]) == len(range(3 * 5 + 1, 3 * 5 + 6))
    for tag in ("title", "meta", "link", "style", "script", "nav", "article", "h1", "table", "th", "td", "ul", "p"):
        assert tag in page.tags
    last = _Links(site.render(99))
    assert "next" not in last.by_class


def test_the_same_options_give_the_same_bytes_on_every_python() -> None:
    """A figure measured on one machine is compared with another's: the pages must be the same there."""
    body = SyntheticSite(SiteOptions(pages=100, page_bytes=8000, links_per_page=10, seed=3)).render(7)
    assert hashlib.sha256(body).hexdigest() == "1f18426fa26b542d3f66f64316e7a2f44c9eecdf50e3b7113b95a8d13d47e3e6"


def test_another_seed_gives_another_site() -> None:
    one, other = (SyntheticSite(SiteOptions(seed=seed)) for seed in (1, 2))
    assert one.render(999) != other.render(999)
    assert one.links_of(999) != other.links_of(999)


@pytest.mark.parametrize(
    "path", ["/page/100", "/page/-1", "/page/01", "/page/x", "/page/\u0663", "/page/" + "9" * 5000, "/nope", ""]
)
def test_what_is_not_a_page_is_not_there(path: str) -> None:
    assert SyntheticSite(SiteOptions(pages=100)).resource(path) is None


def test_the_first_page_has_one_address() -> None:
    resource = SyntheticSite(SiteOptions()).resource("/page/0")
    assert resource is not None
    assert (resource.status, resource.location) == (301, "/")


@pytest.mark.parametrize("page", [-1, 100])
def test_a_page_that_does_not_exist_has_no_path(page: int) -> None:
    with pytest.raises(IndexError, match="0 to 99"):
        SyntheticSite(SiteOptions(pages=100)).path_of(page)


def test_latencies_have_the_mean_that_was_asked_for_and_hang_on_the_path() -> None:
    paths = [f"/page/{page}" for page in range(5000)]
    drawn = [latency_s(0.2, "lognormal", 0, path) for path in paths]
    assert statistics.mean(drawn) == pytest.approx(0.2, rel=0.05)
    assert statistics.median(drawn) < 0.18
    assert drawn == [latency_s(0.2, "lognormal", 0, path) for path in paths]
    assert {latency_s(0.2, "constant", 0, path) for path in paths} == {0.2}
