"""Crawls that are killed again and again, and what came of them.

A crawl runs in processes of its own, over real sockets, and is started with the same command until it ends by itself.
How and when each life ends is drawn from a seeded generator; what the machine makes of it is not repeated exactly, so
the folder of a crawl that broke a promise is kept.
"""

from __future__ import annotations

import itertools
import random
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from fixtures_server import CorpusOptions, FixtureServer
from tests.kill.lives import Broken, Life, Orders, Plan, Plans, live
from tests.kill.oracle import Evidence, Reading, Verdict, judge, read_copy, went_back
from tests.kill.site import Node, Site

HOSTS = ("a.test", "b.test", "c.test")
_LATENCY_S = 0.03
_EXECUTORS = ("process", "process", "process", "process", "thread", "inline")
# The first of them is not disturbed: it shows that the oracle and the site are of one mind.
_CRAWLS_OF_A_SITE = 6


@dataclass(slots=True)
class Tally:
    """What was done to crawls, and what came of it.

    Args:
        crawls: that came to their end.
        kills: by kind.
        points: steps at which crawlers ended themselves.
        urls, items: of all crawls together.
        refetched: pages that servers gave again, beyond what retries and redirects explain.
        in_flight: requests that crawlers had in their hands when they were killed, and whose outcome was not in the
            file: as many may be fetched again.
        crashed: requests that failed by design, because crawlers died with them again and again.
        lost, doubled: pages and items.
        unsound: files in which SQLite finds something wrong.
        violations: sentences.
    """

    crawls: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    urls: int = 0
    items: int = 0
    refetched: int = 0
    in_flight: int = 0
    crashed: int = 0
    lost: int = 0
    doubled: int = 0
    unsound: int = 0
    violations: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.crawls += other.crawls
        self.kills += other.kills
        self.points += other.points
        self.urls += other.urls
        self.items += other.items
        self.refetched += other.refetched
        self.in_flight += other.in_flight
        self.crashed += other.crashed
        self.lost += other.lost
        self.doubled += other.doubled
        self.unsound += other.unsound
        self.violations += other.violations

    def add_verdict(self, verdict: Verdict) -> None:
        self.crawls += 1
        self.urls += verdict.urls
        self.items += verdict.items
        self.refetched += verdict.refetched
        self.crashed += verdict.crashed
        self.lost += verdict.lost
        self.doubled += verdict.doubled
        self.unsound += not verdict.is_sound
        self.violations += verdict.violations


class Ground:
    """A site that runs, for one crawl after another. Three hosts lead to it.

    Args:
        server: serves the site.
        site: what is there.
    """

    def __init__(self, server: FixtureServer, site: Site) -> None:
        self.server = server
        port = urlsplit(server.url).port or 0
        origins = [f"http://{host}:{port}" for host in HOSTS]
        self.hosts = tuple((host, port) for host in HOSTS)
        self.nodes: dict[str, Node] = {}
        for origin in origins:
            self.nodes |= site.at(origin)
        self.seeds = tuple(seed for origin in origins for seed in site.seeds(origin))


@contextmanager
def ground(pages: int, seed: int, folder: Path) -> Iterator[Ground]:
    """Serves a site from the files that it makes in an empty folder."""
    site = Site(pages, seed)
    site.write(folder)
    with FixtureServer(CorpusOptions(folder, latency_s=_LATENCY_S, distribution="lognormal")) as server:
        yield Ground(server, site)


class Crawl:
    """One crawl, killed and started again until it comes to its end.

    Args:
        place: its site.
        folder: an empty one, for its files.
        executor: where pages are parsed.
        join: whether crawlers share the state file.
        batch_items: pages in one portion.
    """

    def __init__(self, place: Ground, folder: Path, executor: str, *, join: bool = False, batch_items: int = 1) -> None:
        self._place = place
        self._orders = Orders(folder / "crawl", place.seeds, place.hosts, executor, join, batch_items)
        self._orders.folder.mkdir()
        self._lost: Counter[int] = Counter()
        self._before = Reading({}, {}, "ok")
        self._lock = threading.Lock()
        self.tally = Tally()
        place.server.reset_blocking()

    def __repr__(self) -> str:
        return f"<Crawl {self._orders.folder}: {self.tally.kills.total()} kills>"

    def live(
        self,
        plan: Plan,
        name: str,
        *,
        on_working: Callable[[], object] = lambda: None,
        gate: int | None = None,
    ) -> Life:
        """One life, from its start to its end or until it is killed; see `lives.live`.

        Raises:
            Broken: it failed, hangs, or left a process behind.
        """
        life = live(self._orders, name, plan, on_working=on_working, gate=gate)
        with self._lock:
            self._note(life)
        return life

    def let_go(self, name: str = "last", *, on_working: Callable[[], object] = lambda: None) -> None:
        """A life that nobody disturbs."""
        self.live(Plan(), name, on_working=on_working)

    def _note(self, life: Life) -> None:
        self.tally.kills.update(str(how) for how in life.kills)
        if life.point is not None:
            self.tally.points[str(life.point)] += 1
        open_ends = life.under_way
        if not self._orders.join:  # of a file that others work on there is no moment to look at
            now = read_copy(self._orders.folder / "state.sqlite")
            if now.integrity != "ok":
                self.tally.unsound += 1
                self.tally.violations.append(f"integrity_check after a kill: {now.integrity}")
            self.tally.violations += went_back(self._before, now)
            self._before = now
            open_ends = frozenset(n for n in open_ends if n in now.rows and not now.rows[n].is_ended)
        self._lost.update(open_ends)
        self.tally.in_flight += len(open_ends)

    def evidence(self) -> Evidence:
        """What is left of it, once it has come to its end."""
        # Not a request of the crawl, but what it asks every site first.
        log = [entry for entry in self._place.server.access_log_blocking() if entry.path != "/robots.txt"]
        return Evidence(self._place.nodes, self._place.seeds, self._orders.folder, log, dict(self._lost))

    def judge(self) -> Tally:
        """What came of it, once it has come to its end."""
        self.tally.add_verdict(judge(self.evidence()))
        return self.tally


def kill_often(crawl: Crawl, draw: Callable[[], Plan], kills: int, name: str = "") -> None:
    """Kills a crawl so often, or until it ends by itself before that; then lets it come to its end."""
    done, number = 0, 0
    while done < kills:
        number += 1
        life = crawl.live(draw(), f"{name}{number}")
        done += len(life.kills)
        if life.is_over:
            return
    crawl.let_go(f"{name}last")


class Loop:
    """Crawls and kills them, many at a time, until there were enough kills.

    Args:
        seed: of everything random.
        kills: how many.
        folder: an empty one, where all is done; of a crawl that broke a promise its folder stays there.
        jobs: crawls at the same time.
        pages: of each site, whose three hosts each have as many.
        share_joined: of the crawls that two crawlers do together.
        on_crawl: called after each crawl, with what came of all so far.
    """

    def __init__(
        self,
        *,
        seed: int,
        kills: int,
        folder: Path,
        jobs: int = 1,
        pages: int = 45,
        share_joined: float = 0.2,
        on_crawl: Callable[[Tally], None] = lambda _: None,
    ) -> None:
        self._seed = seed
        self._kills = kills
        self._folder = folder
        self._jobs = jobs
        self._pages = pages
        self._share_joined = share_joined
        self._on_crawl = on_crawl
        self._lock = threading.Lock()
        self.tally = Tally()

    def run(self) -> Tally:
        with ThreadPoolExecutor(self._jobs) as pool:
            for job in [pool.submit(self._work, number) for number in range(self._jobs)]:
                job.result()
        return self.tally

    def _work(self, job: int) -> None:
        rng = random.Random(f"{self._seed} {job}")
        lives = Plans(rng)
        for site in itertools.count():
            if self._kills_left <= 0:
                return
            self._crawl_site(self._folder / f"{job}-{site}", rng, lives)

    def _crawl_site(self, folder: Path, rng: random.Random, lives: Plans) -> None:
        files = folder / "site"
        files.mkdir(parents=True)
        with ground(self._pages, rng.randrange(1_000_000), files) as place:
            for number in range(_CRAWLS_OF_A_SITE):
                if self._kills_left <= 0:
                    break
                own = folder / str(number)
                own.mkdir()
                kills = 0 if number == 0 else min(rng.randint(4, 14), self._kills_left)
                tally = self._crawl(place, own, rng, lives, kills)
                with self._lock:
                    self.tally.add(tally)
                    self._on_crawl(self.tally)
                if not tally.violations:
                    shutil.rmtree(own)
        if list(folder.iterdir()) == [files]:
            shutil.rmtree(folder)

    @property
    def _kills_left(self) -> int:
        return self._kills - self.tally.kills.total()

    def _crawl(self, place: Ground, folder: Path, rng: random.Random, lives: Plans, kills: int) -> Tally:
        executor = rng.choice(_EXECUTORS)
        join = rng.random() < self._share_joined
        crawl = Crawl(place, folder, executor, join=join, batch_items=rng.choice((1, 1, 3)))
        try:
            if join:
                with ThreadPoolExecutor(2) as pair:
                    both = [
                        pair.submit(kill_often, crawl, lambda: lives.draw(executor), kills // 2, name)
                        for name in ("one-", "two-")
                    ]
                    for one in both:
                        one.result()
            else:
                kill_often(crawl, lambda: lives.draw(executor), kills)
        except Broken as broken:
            crawl.tally.violations.append(str(broken))
            return crawl.tally
        return crawl.judge()
