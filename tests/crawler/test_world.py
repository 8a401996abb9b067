"""A crawl of a world of hosts, judged by the server's log: a good guest everywhere, and every URL accounted for."""

from pathlib import Path

from fixtures_server import FixtureWorld, World, WorldOptions
from fixtures_server.judge import Rules, judge
from fixtures_server.world import HostKind
from scraper import Crawler, FetchOptions, LimitOptions, MemorySink, PaceOptions, Resolve
from scraper.frontier.state.reading import STATES, StateReader

MAX_DEPTH = 6
# Small enough for a test, and every kind of host is there.
OPTIONS = WorldOptions(hosts=24, pages=3, latency_s=0.005, crawl_delay_s=0.15, down_s=0.1)


def resolve(world: World) -> tuple[Resolve, ...]:
    entries = (entry.split(":") for entry in world.resolve)
    return tuple(Resolve(host=name, port=int(port), address=address) for name, port, address in entries)


async def test_a_crawl_of_a_world_is_a_good_guest_and_loses_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    sink = MemorySink()
    pace = PaceOptions(backoff_s=0.1, max_backoff_s=0.2, retries=3)
    async with FixtureWorld(OPTIONS) as server:
        world = server.world
        crawler = Crawler(
            executor="inline",
            fetch=FetchOptions(resolve=resolve(world), timeout_s=0.6),
            pace=pace,
            limits=LimitOptions(scope="any", max_depth=MAX_DEPTH),
            state=state,
        )
        async with crawler:
            await crawler.run(*world.seeds, sinks=[sink])
        log = await server.access_log()
    rules = Rules(hosts=world.rules, per_host=pace.per_host, agent="scraper")
    findings = judge(log, rules)
    assert not findings.violations, findings.text()
    assert not any(world.hosts[netloc].kind is HostKind.INSIDE for netloc in findings.hosts)

    with StateReader(state) as reader:
        ends = {found.url: found.state for found in reader.requests(STATES)}
    expected = world.expected(MAX_DEPTH)
    assert ends.keys() == expected.keys()
    unlike = {url: ends[url] for url, right in expected.items() if ends[url] not in right}
    assert unlike == {}
    items = [item["url"] for item in sink.items]
    assert len(items) == len(set(items)) == list(ends.values()).count("done")
