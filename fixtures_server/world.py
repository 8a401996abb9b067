"""A world of hosts with names: their pages, their rules, and what must become of every URL.

Everything here is a pure function of the options and the port, so that a server, a judge and a test in three processes
have one world in mind. `WorldServer` answers for it.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, Literal, Protocol

from fixtures_server.content import HTML, Resource, number_from
from fixtures_server.corpus import Corpus
from fixtures_server.exchange import HTML_HEADERS
from fixtures_server.judge import ROBOTS_PATH, HostRules
from fixtures_server.options import CorpusOptions
from fixtures_server.reply import reply, small_page
from fixtures_server.site import SyntheticSite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fixtures_server.content import Content
    from fixtures_server.options import WorldOptions

SITEMAP_PATH = "/sitemap.xml"
MOVED_ROBOTS_PATH = "/rules/robots.txt"
_XML = "application/xml"
_FIRST_YEAR = 2026  # of the calendars
_SERVICE_S = 0.1  # a server behind a queue takes so long for a request
_MOST_LISTED = 1000  # pages in a sitemap
_OWN_PAGES = frozenset(("/private/1", "/private/2", "/private/open", "/landing", "/orphan/1", "/orphan/2"))
# As much of robots.txt as must count (RFC 9309, section 2.5); the large one goes on beyond it.
_ROBOTS_COUNTS_BYTES = 500 * 1024
_LARGE_ROBOTS_BYTES = 600_000
_FILLER_BYTES = len("# 00000000 nothing of interest\n")
# Beyond this many pages nobody wants to be told how many there are.
_MOST_COUNTED_PAGES = 100_000
COUNTED_DEPTH = 12
"""So deep are the counts of `world.json`: deeper than any host but the mazes, which have no end."""


CUT_ANSWER = reply(200, HTML_HEADERS, small_page("Cut", "<p>This page is cut.</p>\n").encode()).data[:-20]
"""What a host that cuts pages sends before it closes the connection: a log knows it by its size."""


class HostKind(StrEnum):
    """What is particular about a host."""

    PLAIN = "plain"
    DELAY = "delay"
    FREE = "free"
    WWW = "www"
    LIMIT429 = "limit429"
    LIMIT503 = "limit503"
    QUEUE = "queue"
    SLOW = "slow"
    RESETS = "resets"
    CLOSES = "closes"
    CUTS = "cuts"
    ERRORS = "errors"
    DOWN = "down"
    DEAD = "dead"
    ROBOTS500 = "robots500"
    SILENT = "silent"
    MOVED = "moved"
    LARGE = "large"
    CALENDAR = "calendar"
    SESSIONS = "sessions"
    MAZE = "maze"
    FAULTY = "faulty"
    INSIDE = "inside"


_ABOUT = {
    HostKind.PLAIN: "pages, a robots.txt that disallows a folder, a sitemap",
    HostKind.DELAY: "asks for a Crawl-delay",
    HostKind.FREE: "no robots.txt (404): everything is allowed",
    HostKind.WWW: "every path, robots.txt too, redirects to the host without www.",
    HostKind.LIMIT429: "answers 429 with Retry-After when asked faster than its rate, and to all until that is over",
    HostKind.LIMIT503: "the same with 503",
    HostKind.QUEUE: "serves two requests at a time; others wait, and 503 is for those that find six waiting",
    HostKind.SLOW: "ten times the latency",
    HostKind.RESETS: "resets the connection at the first request for every third page",
    HostKind.CLOSES: "closes the connection without an answer, likewise",
    HostKind.CUTS: "closes the connection in the middle of the page, likewise",
    HostKind.ERRORS: "answers 500, likewise",
    HostKind.DOWN: "closes every connection without an answer for its first seconds",
    HostKind.DEAD: "nobody listens there",
    HostKind.ROBOTS500: "robots.txt is answered with 500, so nothing may be fetched",
    HostKind.SILENT: "robots.txt is never answered, so nothing may be fetched",
    HostKind.MOVED: "robots.txt redirects to another path",
    HostKind.LARGE: "a robots.txt of 600 KB, whose rule about /private/ stands at 490 KB",
    HostKind.CALENDAR: "an endless calendar, which robots.txt disallows",
    HostKind.SESSIONS: "an endless catalogue of session ids, which robots.txt disallows",
    HostKind.MAZE: "an endless calendar that nothing forbids: a crawl needs a bound of its own",
    HostKind.FAULTY: "links to named faults",
    HostKind.INSIDE: "linked and redirected to, but no start URL: its private address must not be connected to",
}
# The first of each kind comes before the second of any.
_SPECIAL = (
    *(kind for kind in HostKind if kind is not HostKind.PLAIN),
    *(HostKind.DELAY, HostKind.FREE, HostKind.WWW, HostKind.LIMIT429, HostKind.DELAY, HostKind.FREE, HostKind.DELAY),
)
# No page of these is ever seen, so no host may depend on their links.
_PAGELESS = (HostKind.WWW, HostKind.DEAD, HostKind.ROBOTS500, HostKind.SILENT, HostKind.INSIDE)

# What a faulty host links to, and the states that are right for it.
_FAULTS: dict[str, tuple[str, ...]] = {
    "ok": ("done",),
    "status?code=404": ("failed",),
    "status?code=500": ("failed",),
    "flaky": ("done",),
    "redirect?to=/landing": ("done",),
    "redirect-loop": ("failed",),
    "chunked": ("done",),
    "chunked-cut": ("failed",),
    "reset-at-once": ("failed",),
    "empty-reply": ("failed",),
    "headers-cut": ("failed",),
    "length-too-long": ("failed",),
    "slow?wait_s=0.2": ("done",),
    "gzip": ("done",),
    "gzip-truncated": ("failed",),
    "gzip-garbage": ("failed",),
    "unknown-encoding": ("failed",),
    "lying-charset": ("done",),
    "not-html": ("skipped",),
}


class RobotsAnswer(StrEnum):
    """How a host answers for its robots.txt."""

    RULES = "rules"
    MISSING = "missing"
    ERROR = "error"
    SILENCE = "silence"
    MOVED = "moved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One host, and how it behaves.

    netloc: name and port, as in its URLs and in the Host header
    rules: what it asks of its guests, for the judge
    capacity: how many requests it serves at once, each for `service_s`; None: any number
    waiting_room: how many more may wait; others are refused with 503
    rate_per_s: faster than this it refuses with `refusal_status`, from then on for `retry_after_s`
    breaks: what happens to the first request of every third page
    down_s: how long it answers nothing, from the first request on
    bare: the host that it redirects to
    """

    name: str
    netloc: str
    kind: HostKind
    rules: HostRules
    robots: RobotsAnswer
    latency_s: float
    capacity: int | None = None
    service_s: float = 0.0
    waiting_room: int = 0
    rate_per_s: float | None = None
    refusal_status: int = 429
    retry_after_s: int = 1
    breaks: Literal["reset", "close", "cut", "error"] | None = None
    down_s: float = 0.0
    bare: str | None = None

    @property
    def origin(self) -> str:
        """Scheme, name and port."""
        return f"http://{self.netloc}"

    @property
    def about(self) -> str:
        """What is particular about it, in a sentence."""
        return _ABOUT[self.kind]


@dataclass(frozen=True, slots=True)
class WorldPage:
    """What is at a target of a host.

    links: the absolute URLs of its links to follow, in document order
    """

    resource: Resource
    links: tuple[str, ...] = ()


class World:
    """The hosts, and what is on them.

        async with FixtureWorld(WorldOptions(hosts=50)) as server:
            world = server.world
            ...  # crawl world.seeds with world.resolve, judge the access log by world.rules

    options: how many hosts, and what they are like
    port: that all listen on
    address: the loopback address of the server

    hosts: by name and port
    seeds: the first page of every host that a crawl is to be told of; from each of them links lead to all others
    resolve: `HOST:PORT:ADDRESS` for every host, as `scraper crawl --resolve` and `curl --resolve` take it
    """

    def __init__(self, options: WorldOptions, port: int, address: str = "127.0.0.1") -> None:
        self.options = options
        self.port = port
        self.hosts: Mapping[str, Host] = {host.netloc: host for host in self._make_hosts()}
        self.seeds = tuple(f"{host.origin}/" for host in self.hosts.values() if host.kind is not HostKind.INSIDE)
        elsewhere = "127.0.0.2" if address == "127.0.0.1" else "127.0.0.1"  # the server does not listen there
        self.resolve = tuple(
            f"{host.netloc}:{elsewhere if host.kind is HostKind.DEAD else address}" for host in self.hosts.values()
        )
        self._sites: dict[str, _Pages] = {}
        self._fronts: dict[str, tuple[str, ...]] = {}

    def __repr__(self) -> str:
        return f"<World of {len(self.hosts)} hosts on port {self.port}, seed {self.options.seed}>"

    @property
    def rules(self) -> dict[str, HostRules]:
        """What every host asks of its guests, for the judge."""
        return {netloc: host.rules for netloc, host in self.hosts.items()}

    def named(self, kind: HostKind) -> list[Host]:
        """The hosts of one kind."""
        return [host for host in self.hosts.values() if host.kind is kind]

    def to_dict(self) -> dict[str, Any]:
        """The world for people and other programs: hosts with their rules, seeds, resolve arguments, counts."""
        expected = None
        if self.is_counted:
            fates = self.expected(COUNTED_DEPTH).values()
            expected = Counter(" or ".join(sorted(ends)) for ends in fates)
        return {
            "hosts": [{**asdict(host), "about": host.about} for host in self.hosts.values()],
            "seeds": self.seeds,
            "resolve": self.resolve,
            "expected": None if expected is None else {"max_depth": COUNTED_DEPTH, **expected},
        }

    @property
    def is_counted(self) -> bool:
        """Whether it is known what there is: not with a corpus, whose links are its own, nor with endless pages."""
        return self.options.directory is None and self.options.pages * len(self.hosts) <= _MOST_COUNTED_PAGES

    # What a crawl must find.

    def expected(
        self, max_depth: int, *, seeds: Sequence[str] | None = None, with_sitemaps: bool = False
    ) -> dict[str, frozenset[str]]:
        """Every URL that a crawl meets in any scope, and the states that are right for it in the end.

        The states are `done`, `failed` and `skipped`. Of a world with a corpus only what is sure to be there is told.

        max_depth: links from a seed; mazes end nowhere else
        seeds: where it begins; all of the world's by default
        with_sitemaps: whether what hosts list in their sitemaps is met as well
        """
        found: dict[str, frozenset[str]] = {}
        waiting = deque((url, 0) for url in (self.seeds if seeds is None else seeds))
        if with_sitemaps:
            listing = (host for host in self.hosts.values() if self._has_sitemap(host))
            waiting.extend((url, 0) for host in listing for url in self._listed(host))
        while waiting:
            url, depth = waiting.popleft()
            if url not in found:
                found[url], links = self._fate(url)
                if depth < max_depth:
                    waiting.extend((link, depth + 1) for link in links)
        return found

    def _fate(self, url: str) -> tuple[frozenset[str], tuple[str, ...]]:
        netloc, slash, rest = url.removeprefix("http://").partition("/")
        host, target = self.hosts[netloc], slash + rest
        if host.kind is HostKind.DEAD:
            return frozenset({"failed"}), ()
        if host.kind is HostKind.INSIDE or host.robots in (RobotsAnswer.ERROR, RobotsAnswer.SILENCE):
            return frozenset({"failed", "skipped"}), ()
        if host.rules.disallows(target) is not None:
            return frozenset({"skipped"}), ()
        if host.bare is not None:  # where it leads is known already, or not yet
            return frozenset({"done", "skipped"}), ()
        if host.kind is HostKind.FAULTY and target.startswith("/faults/"):
            return frozenset(_FAULTS[target.removeprefix("/faults/")]), ()
        page = self.page(host, target)
        assert page is not None
        if page.resource.location is None:
            return frozenset({"done"}), page.links
        fate, links = self._fate(page.resource.location)
        return (fate if fate == {"done"} else frozenset({"failed", "skipped"})), links

    # Pages.

    def page(self, host: Host, target: str) -> WorldPage | None:
        """What is at a target, apart from robots.txt, or None."""
        path, _, query = target.partition("?")
        if host.bare is not None:
            return _redirect(f"http://{host.bare}{target}")
        if path == "/":
            return self._front(host)
        if path == SITEMAP_PATH and self._has_sitemap(host):
            return WorldPage(Resource(_sitemap(self._listed(host)), _XML))
        if path.startswith("/go/"):
            location = self._redirects(host).get(path)
            return None if location is None else _redirect(location)
        if path.startswith("/calendar/") and host.kind in (HostKind.CALENDAR, HostKind.MAZE):
            following = _next_month(path.removeprefix("/calendar/"))
            return None if following is None else _small(host, path, (f"/calendar/{following}",))
        if path == "/catalogue" and host.kind is HostKind.SESSIONS:
            session = f"{number_from(self.options.seed, query) % 2**32:08x}"
            return _small(host, path, (f"/catalogue?session={session}",))
        if path in _OWN_PAGES:
            return _small(host, path, ())
        pages = self._pages(host)
        resource = pages.content.resource(path)
        if resource is None or host.kind is HostKind.INSIDE:
            return None
        return WorldPage(resource, tuple(host.origin + link for link in pages.links(path)))

    def robots_txt(self, host: Host) -> bytes:
        """The rules of a host, as they stand in its robots.txt."""
        lines = ["# Everybody is welcome who keeps to this.", "User-agent: *"]
        if host.kind is HostKind.LARGE:
            filler = [f"# {number:08} nothing of interest" for number in range(_LARGE_ROBOTS_BYTES // _FILLER_BYTES)]
            before = (_ROBOTS_COUNTS_BYTES - 10_000) // _FILLER_BYTES
            lines += filler[:before]
            filler = [*filler[before:], "Disallow: /beyond/"]
        lines += [f"Disallow: {pattern}" for pattern in host.rules.disallowed]
        lines += [f"Allow: {pattern}" for pattern in host.rules.allowed]
        if host.rules.delay_s:
            lines.append(f"Crawl-delay: {host.rules.delay_s:g}")
        lines += ["", "User-agent: unwelcome", "Disallow: /"]
        if self._has_sitemap(host):
            lines += ["", f"Sitemap: {host.origin}{SITEMAP_PATH}"]
        if host.kind is HostKind.LARGE:
            lines += filler
        return "".join(f"{line}\n" for line in lines).encode()

    def _front(self, host: Host) -> WorldPage:
        pages = self._pages(host)
        own = tuple(host.origin + link for link in pages.links("/"))
        if host.netloc not in self._fronts:
            self._fronts[host.netloc] = (*self._own_links(host), *self._neighbours.get(host.netloc, ()))
        more = self._fronts[host.netloc]
        resource = pages.content.resource("/")
        assert resource is not None
        items = "".join(f'<li><a href="{escape(url)}">{escape(url)}</a></li>\n' for url in more)
        body = resource.body.replace(b"</body>", f"<ul>\n{items}</ul>\n</body>".encode())
        return WorldPage(Resource(body), (*own, *more))

    def _own_links(self, host: Host) -> Iterator[str]:
        """What a host's first page links to on the same host, beside its pages."""
        paths = ["/private/1", "/private/open", *self._redirects(host)]
        if host.kind in (HostKind.CALENDAR, HostKind.MAZE):
            paths.append(f"/calendar/{_FIRST_YEAR}-01")
        elif host.kind is HostKind.SESSIONS:
            paths.append("/catalogue")
        elif host.kind is HostKind.FAULTY:
            paths += [f"/faults/{address}" for address in _FAULTS]
        return (host.origin + path for path in paths)

    def _redirects(self, host: Host) -> dict[str, str]:
        """Redirects to other hosts: to a page of its own, to a disallowed one, and to where nobody may go."""
        if host.kind is not HostKind.PLAIN:
            return {}
        plain = self._plain
        following = plain[(plain.index(host) + 1) % len(plain)]
        redirects = {
            "/go/neighbour": f"{following.origin}/landing?from={host.name}",
            "/go/private": f"{following.origin}/private/2",
        }
        inside = self.named(HostKind.INSIDE)
        if host is plain[0] and inside:
            redirects["/go/inside"] = f"{inside[0].origin}/"
        return redirects

    def _has_sitemap(self, host: Host) -> bool:
        return host.robots is RobotsAnswer.RULES and host.bare is None and host.kind not in _PAGELESS

    def _listed(self, host: Host) -> list[str]:
        paths = [*self._pages(host).paths(), "/orphan/1", "/orphan/2"]
        return [host.origin + path for path in paths]

    def _pages(self, host: Host) -> _Pages:
        found = self._sites.get(host.netloc)
        if found is None:
            found = self._sites[host.netloc] = self._make_pages(host)
        return found

    def _make_pages(self, host: Host) -> _Pages:
        if self._corpus is None:
            return _SyntheticPages(SyntheticSite(self.options.site(number_from(self.options.seed, host.name) % 2**32)))
        hosts = [it.netloc for it in self.hosts.values() if it.kind not in _PAGELESS]
        return _DealtPages(self._corpus, hosts.index(host.netloc), len(hosts))

    @cached_property
    def _corpus(self) -> Corpus | None:
        directory = self.options.directory
        return None if directory is None else Corpus(CorpusOptions(directory))

    # Hosts.

    @cached_property
    def _plain(self) -> list[Host]:
        return self.named(HostKind.PLAIN)

    @cached_property
    def _neighbours(self) -> dict[str, tuple[str, ...]]:
        """The hosts that each links to: a ring and a tree of those with pages, and each of the others from two."""
        paged = [host for host in self.hosts.values() if host.kind not in _PAGELESS]
        others = [host for host in self.hosts.values() if host.kind in _PAGELESS]
        count = len(paged)
        links: dict[str, dict[str, None]] = {}
        for number, host in enumerate(paged):
            near = {(number + 1) % count, (number + 2) % count, 2 * number + 1, 2 * number + 2}
            links[host.netloc] = {paged[it].origin + "/": None for it in sorted(near - {number}) if it < count}
        for number, host in enumerate(others):
            for at in (number, 3 * number + 1):
                links[paged[at % count].netloc][f"{host.origin}/"] = None
        return {netloc: tuple(urls) for netloc, urls in links.items()}

    def _make_hosts(self) -> Iterator[Host]:
        options = self.options
        special = _SPECIAL[: options.hosts - 2]
        kinds = [HostKind.PLAIN] * (options.hosts - len(special)) + list(special)
        # The first is plain: a crawl from one seed needs one that answers.
        order = sorted(range(1, options.hosts), key=lambda place: number_from(options.seed, "place", place))
        placed = dict(zip(order, kinds[1:], strict=True)) | {0: kinds[0]}
        plain = [number for number in range(options.hosts) if placed[number] is HostKind.PLAIN]
        bare = iter(plain * len(kinds))
        for number in range(options.hosts):
            kind = placed[number]
            if kind is HostKind.WWW:
                name = f"plain-{next(bare):02}.test"
                yield self._host(kind, f"www.{name}", bare=f"{name}:{self.port}")
            else:
                yield self._host(kind, f"{kind}-{number:02}.test")

    def _host(self, kind: HostKind, name: str, bare: str | None = None) -> Host:
        options = self.options
        netloc = f"{name}:{self.port}"
        latency_s = options.latency_s * (10 if kind is HostKind.SLOW else 1)
        known: dict[str, Any] = {"name": name, "netloc": netloc, "kind": kind, "latency_s": latency_s, "bare": bare}
        rules: dict[str, Any] = {"disallowed": ("/private/",), "allowed": ("/private/open",)}
        robots = RobotsAnswer.RULES
        match kind:
            case HostKind.DELAY:
                rules["delay_s"] = options.crawl_delay_s
            case HostKind.FREE:
                rules, robots = {}, RobotsAnswer.MISSING
            case HostKind.WWW:
                rules["robots_at"] = (bare, ROBOTS_PATH)
            case HostKind.LIMIT429 | HostKind.LIMIT503:
                known |= {"rate_per_s": 10.0, "refusal_status": int(kind.removeprefix("limit"))}
            case HostKind.QUEUE:
                known |= {"capacity": 2, "service_s": _SERVICE_S, "waiting_room": 6}
            case HostKind.RESETS:
                known["breaks"] = "reset"
            case HostKind.CLOSES:
                known["breaks"] = "close"
            case HostKind.CUTS:
                known["breaks"] = "cut"
            case HostKind.ERRORS:
                known["breaks"] = "error"
            case HostKind.DOWN:
                known["down_s"] = options.down_s
            case HostKind.ROBOTS500:
                rules, robots = {}, RobotsAnswer.ERROR
            case HostKind.SILENT:
                rules, robots = {}, RobotsAnswer.SILENCE
            case HostKind.MOVED:
                rules["robots_at"], robots = (netloc, MOVED_ROBOTS_PATH), RobotsAnswer.MOVED
            case HostKind.CALENDAR:
                rules["disallowed"] = ("/private/", "/calendar/")
            case HostKind.SESSIONS:
                rules["disallowed"] = ("/private/", "/*?session=")
            case HostKind.INSIDE:
                rules = {"is_off_limits": True}
        return Host(rules=HostRules(**rules), robots=robots, **known)


class _Pages(Protocol):
    """The pages that a host has whatever its kind, and the links on each."""

    @property
    def content(self) -> Content: ...

    def paths(self) -> Sequence[str]:
        """The first of its paths, as many as a sitemap holds here."""

    def links(self, path: str) -> Sequence[str]:
        """The paths that a page links to, as far as that is known."""


@dataclass(frozen=True, slots=True)
class _SyntheticPages:
    content: SyntheticSite

    def paths(self) -> Sequence[str]:
        return [self.content.path_of(page) for page in range(min(self.content.options.pages, _MOST_LISTED))]

    def links(self, path: str) -> Sequence[str]:
        page = int(path.removeprefix("/page/")) if path != "/" else 0
        return list(dict.fromkeys(map(self.content.path_of, self.content.links_of(page))))


class _DealtPages:
    """Every so-and-so-manieth page of a corpus, and a first page that links to them."""

    def __init__(self, corpus: Corpus, first: int, step: int) -> None:
        self._corpus = corpus
        self._dealt = [path for path in corpus.paths() if path != "/"][first::step]

    @property
    def content(self) -> Content:
        return self

    def resource(self, path: str) -> Resource | None:
        if path != "/":
            return self._corpus.resource(path)
        items = "".join(f'<li><a href="{escape(path)}">{escape(path)}</a></li>\n' for path in self._dealt)
        return Resource(small_page("Saved pages", f"<ol>\n{items}</ol>\n").encode())

    def paths(self) -> Sequence[str]:
        return ["/", *self._dealt][:_MOST_LISTED]

    def links(self, path: str) -> Sequence[str]:
        return self._dealt if path == "/" else ()


def _redirect(location: str) -> WorldPage:
    return WorldPage(Resource(small_page("Moved").encode(), HTML, 302, location), (location,))


def _small(host: Host, path: str, links: Sequence[str]) -> WorldPage:
    items = "".join(f'<p><a href="{escape(link)}">{escape(link)}</a></p>\n' for link in links)
    body = small_page(f"{path} of {host.name}", items)
    return WorldPage(Resource(body.encode()), tuple(host.origin + link for link in links))


def _next_month(month: str) -> str | None:
    """The month after one that is written 2026-01, or None where that is none."""
    year, dash, number = month.partition("-")
    if not (dash and len(year) == 4 and len(number) == 2 and (year + number).isdigit() and 1 <= int(number) <= 12):
        return None
    following = int(year) * 12 + int(number)  # months are counted from 0 here
    return f"{following // 12 % 10_000:04}-{following % 12 + 1:02}"


def _sitemap(urls: Sequence[str]) -> bytes:
    entries = "".join(f"<url><loc>{escape(url)}</loc></url>\n" for url in urls)
    schema = "http://www.sitemaps.org/schemas/sitemap/0.9"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="{schema}">\n{entries}</urlset>\n'.encode()
