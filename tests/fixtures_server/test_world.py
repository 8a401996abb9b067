"""A world of hosts: the same everywhere, every host reached by links, and each answering in its own way."""

import asyncio
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fixtures_server import FixtureWorld, OptionsRefused, World, WorldOptions
from fixtures_server.judge import HostRules, Kind, Rules, judge, rules_from
from fixtures_server.world import Host, HostKind

ROOT = Path(__file__).parents[2]
SMALL = WorldOptions(hosts=30, pages=3, latency_s=0.001, crawl_delay_s=0.2, down_s=0.2)


BREAKING = (HostKind.RESETS, HostKind.CLOSES, HostKind.CUTS, HostKind.ERRORS)


@pytest.fixture(scope="module")
def server() -> Iterator[FixtureWorld]:
    with FixtureWorld(SMALL) as running:
        yield running


class Guest:
    """Asks hosts of a world by their names."""

    def __init__(self, server: FixtureWorld) -> None:
        self._address = urlsplit(server.url).netloc

    def ask(self, url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(url)
        with closing(http.client.HTTPConnection(self._address, timeout=20)) as connection:
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", target, headers={"Host": parts.netloc, "User-Agent": "guest/1", **headers})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


@pytest.fixture
def guest(server: FixtureWorld) -> Guest:
    server.reset_blocking()
    return Guest(server)


def one(server: FixtureWorld, kind: HostKind) -> Host:
    return server.world.named(kind)[0]


# What there is.


def test_equal_options_make_equal_worlds() -> None:
    def described(seed: int) -> str:
        return json.dumps(World(WorldOptions(seed=seed), port=8080).to_dict())

    assert described(1) == described(1)
    assert described(1) != described(2)


@pytest.mark.parametrize(("hosts", "kinds"), [(3, 2), (24, 23), (50, 23), (200, 23)])
def test_there_are_as_many_hosts_as_asked_for_and_every_kind_if_there_is_room(hosts: int, kinds: int) -> None:
    world = World(WorldOptions(hosts=hosts), port=8080)
    assert len(world.hosts) == hosts == len(world.resolve)
    assert len({host.kind for host in world.hosts.values()}) == kinds
    assert len({host.name for host in world.hosts.values()}) == hosts
    assert world.hosts[urlsplit(world.seeds[0]).netloc].kind is HostKind.PLAIN


@pytest.mark.parametrize("hosts", [3, 22, 50])
@pytest.mark.parametrize("seed", range(3))
def test_links_lead_from_any_one_host_to_all_others(hosts: int, seed: int) -> None:
    world = World(WorldOptions(hosts=hosts, pages=1, seed=seed), port=8080)
    for start in world.seeds[:: max(1, hosts // 4)]:
        reached = {urlsplit(url).netloc for url in world.expected(hosts, seeds=[start])}
        if len(reached) > 1:  # others are dead, or show no page
            assert reached == world.hosts.keys()
    assert {urlsplit(url).netloc for url in world.expected(0)} == {urlsplit(url).netloc for url in world.seeds}


def test_resolve_sends_the_dead_host_to_where_nobody_listens(server: FixtureWorld) -> None:
    world, dead = server.world, one(server, HostKind.DEAD)
    port = urlsplit(server.url).port
    assert f"{dead.name}:{port}:127.0.0.2" in world.resolve
    assert sum(entry.endswith(f":{port}:127.0.0.1") for entry in world.resolve) == len(world.hosts) - 1
    with pytest.raises(ConnectionRefusedError), closing(http.client.HTTPConnection("127.0.0.2", port)) as connection:
        connection.connect()


def test_the_host_inside_is_linked_and_no_seed(server: FixtureWorld) -> None:
    inside = one(server, HostKind.INSIDE)
    assert f"{inside.origin}/" not in server.world.seeds
    assert f"{inside.origin}/" in server.world.expected(12)
    assert inside.rules.is_off_limits


def test_a_maze_ends_with_the_depth_alone() -> None:
    world = World(WorldOptions(hosts=50, pages=2), port=8080)
    shallow, deep = (world.expected(depth) for depth in (10, 40))
    months = [url for url in deep.keys() - shallow.keys() if "/calendar/" in url]
    assert len(months) == 30
    assert deep.keys() - shallow.keys() == set(months)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"hosts": 2}, "hosts must be"), ({"pages": 0}, "pages must be"), ({"down_s": -1.0}, "down_s must be")],
)
def test_options_out_of_their_range_are_refused(options: dict[str, int], said: str) -> None:
    with pytest.raises(OptionsRefused, match=said):
        WorldOptions(**options)  # type: ignore[arg-type]


# What is answered.


def test_every_url_is_answered_as_the_world_expects(server: FixtureWorld, guest: Guest) -> None:
    """Except by what breaks, whose turn comes below. Redirects are followed."""
    strange = {*BREAKING, HostKind.DOWN, HostKind.DEAD, HostKind.INSIDE, HostKind.FAULTY}
    limited = {HostKind.LIMIT429, HostKind.LIMIT503}
    for url, fates in server.world.expected(4, with_sitemaps=True).items():
        if server.world.hosts[urlsplit(url).netloc].kind in strange | limited or fates != {"done"}:
            continue
        status, headers, body = guest.ask(url)
        if "location" in headers:
            status, _, body = guest.ask(headers["location"])
        assert (status, b"</html>" in body) == (200, True), url


def test_every_link_of_a_page_is_one_that_is_expected(server: FixtureWorld, guest: Guest) -> None:
    world = server.world
    for url in world.expected(1):
        host = world.hosts[urlsplit(url).netloc]
        if host.kind is HostKind.PLAIN and "/go/" not in url:
            page = world.page(host, urlsplit(url).path)
            assert page is not None
            assert guest.ask(url)[2] == page.resource.body
            for link in page.links:
                assert link.removeprefix(host.origin).encode().rpartition(b"/")[2] in page.resource.body


def test_robots_txt_says_what_the_rules_say(server: FixtureWorld, guest: Guest) -> None:
    for host in server.world.named(HostKind.DELAY):
        text = guest.ask(f"{host.origin}/robots.txt")[2].decode()
        assert "Disallow: /private/\nAllow: /private/open\nCrawl-delay: 0.2\n" in text
        assert f"Sitemap: {host.origin}/sitemap.xml\n" in text
    large = one(server, HostKind.LARGE)
    body = guest.ask(f"{large.origin}/robots.txt")[2]
    assert len(body) > 570_000
    assert 480_000 < body.index(b"Disallow: /private/") < 500 * 1024 < body.index(b"Disallow: /beyond/")
    sessions = one(server, HostKind.SESSIONS)
    assert b"Disallow: /*?session=\n" in guest.ask(f"{sessions.origin}/robots.txt")[2]
    for kind, status in ((HostKind.FREE, 404), (HostKind.ROBOTS500, 500), (HostKind.MOVED, 301)):
        assert guest.ask(f"{one(server, kind).origin}/robots.txt")[0] == status


def test_a_robots_txt_that_redirects_is_where_the_rules_say(server: FixtureWorld, guest: Guest) -> None:
    for kind in (HostKind.MOVED, HostKind.WWW):
        host = one(server, kind)
        status, headers, _ = guest.ask(f"{host.origin}/robots.txt")
        assert host.rules.robots_at is not None
        netloc, path = host.rules.robots_at
        assert status == 301
        assert headers["location"] in (path, f"http://{netloc}{path}")
        assert b"Disallow: /private/" in guest.ask(f"http://{netloc}{path}")[2]


def test_www_redirects_every_path_to_the_bare_host(server: FixtureWorld, guest: Guest) -> None:
    www = one(server, HostKind.WWW)
    status, headers, _ = guest.ask(f"{www.origin}/page/1?a=b")
    assert (status, headers["location"]) == (302, f"http://{www.bare}/page/1?a=b")
    assert www.name == f"www.{www.bare}".rpartition(":")[0]


@pytest.mark.parametrize("kind", [HostKind.LIMIT429, HostKind.LIMIT503])
def test_a_host_that_is_asked_too_fast_refuses_until_its_time_is_over(
    server: FixtureWorld, guest: Guest, kind: HostKind
) -> None:
    host = one(server, kind)
    answers = [guest.ask(f"{host.origin}/page/1") for _ in range(30)]
    statuses = [status for status, _, _ in answers]
    first = statuses.index(host.refusal_status)
    assert set(statuses[:first]) == {200}
    assert set(statuses[first:]) == {host.refusal_status}
    assert answers[-1][1]["retry-after"] == "1"
    assert guest.ask(f"{host.origin}/robots.txt")[0] == 200
    entries = [entry for entry in server.access_log_blocking() if entry.status == host.refusal_status]
    assert {entry.retry_after_s for entry in entries} == {1.0}


async def test_a_queue_serves_some_at_a_time_and_refuses_when_it_is_full(server: FixtureWorld, guest: Guest) -> None:
    host = one(server, HostKind.QUEUE)
    assert host.capacity is not None
    many = host.capacity + host.waiting_room + 3
    answers = await asyncio.gather(*(asyncio.to_thread(guest.ask, f"{host.origin}/page/1") for _ in range(many)))
    statuses = sorted(status for status, _, _ in answers)
    assert statuses.count(503) <= 3
    log = [entry for entry in await server.access_log() if entry.status == 200]
    ends = sorted(entry.time_s + (entry.duration_s or 0.0) for entry in log)
    # No more than its capacity are ever served within one service time.
    assert all(
        later - earlier > host.service_s * 0.9 for earlier, later in zip(ends, ends[host.capacity :], strict=False)
    )


@pytest.mark.parametrize("kind", BREAKING)
def test_some_pages_break_at_their_first_request(server: FixtureWorld, guest: Guest, kind: HostKind) -> None:
    host = one(server, kind)
    broken = 0
    for url in server.world.expected(3):
        if url.startswith(f"{host.origin}/"):
            try:
                is_whole = guest.ask(url)[0] == 200
            except (ConnectionResetError, http.client.RemoteDisconnected, http.client.IncompleteRead):
                is_whole = False
            broken += not is_whole
            assert guest.ask(url)[0] == 200
    assert broken > 0


def test_a_host_that_is_down_comes_back(server: FixtureWorld, guest: Guest) -> None:
    host = one(server, HostKind.DOWN)
    refused = 0
    while True:
        try:
            assert guest.ask(f"{host.origin}/robots.txt")[0] == 200
            break
        except http.client.RemoteDisconnected:
            refused += 1
    assert refused > 0
    first, *_, last = server.access_log_blocking()
    assert last.time_s - first.time_s >= SMALL.down_s - 0.001


def test_resetting_the_server_makes_its_hosts_new(server: FixtureWorld, guest: Guest) -> None:
    host = one(server, HostKind.DOWN)
    for _ in range(2):
        server.reset_blocking()
        with pytest.raises(http.client.RemoteDisconnected):
            guest.ask(f"{host.origin}/")


def test_a_name_that_is_not_known_gets_the_list(server: FixtureWorld, guest: Guest) -> None:
    listing = guest.ask(server.url)[2].decode()
    for host in server.world.hosts.values():
        assert host.netloc in listing
    assert guest.ask("http://unknown.test/")[0] == 200
    assert guest.ask("http://unknown.test/page/1")[0] == 404


def test_the_world_is_told_with_its_rules(server: FixtureWorld, guest: Guest) -> None:
    told = json.loads(guest.ask(f"{server.url}-/world.json")[2])
    assert rules_from(told) == server.world.rules
    assert told["seeds"] == list(server.world.seeds)
    assert told["resolve"] == list(server.world.resolve)
    ends = server.world.expected(told["expected"]["max_depth"]).values()
    assert told["expected"]["done"] == sum(end == {"done"} for end in ends)


def test_the_arguments_of_a_crawl_can_be_asked_for(server: FixtureWorld, guest: Guest) -> None:
    status, _, body = guest.ask(f"{server.url}-/arguments")
    resolve = [f"--resolve={entry}" for entry in server.world.resolve]
    assert (status, body.decode().split()) == (200, [*server.world.seeds, *resolve])
    assert b"/-/arguments)" in guest.ask(server.url)[2]


def test_pages_of_a_corpus_are_dealt_out_among_the_hosts(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}.html").write_text(f"<p>{number}</p></body>")
    with FixtureWorld(WorldOptions(hosts=4, directory=tmp_path, latency_s=0.0)) as server:
        guest = Guest(server)
        world = server.world
        dealt = [
            [link for link in page.links if link.endswith(".html")]
            for host in world.hosts.values()
            if (page := world.page(host, "/")) is not None and host.bare is None
        ]
        names = sorted(url.rpartition("/")[2] for urls in dealt for url in urls)
        assert names == [f"{number}.html" for number in range(10)]
        assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
        for urls in dealt:
            for url in urls:
                assert guest.ask(url)[2] == (tmp_path / url.rpartition("/")[2]).read_bytes()


def test_a_world_of_endless_pages_is_not_counted() -> None:
    world = World(WorldOptions(hosts=5, pages=1_000_000), port=8080)
    assert world.to_dict()["expected"] is None
    host = next(iter(world.hosts.values()))
    page = world.page(host, "/page/999999")
    assert page is not None
    assert page.resource.status == 200


def test_the_command_line_serves_a_world() -> None:
    command = [sys.executable, "-m", "fixtures_server", "--world", "5", "--pages", "2", "--seed", "3"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            address = urlsplit(line.split()[1])
            assert line == f"serving {address.geturl()} (5 hosts, told of at {address.geturl()}-/world.json)\n"
            with closing(http.client.HTTPConnection(address.netloc, timeout=20)) as connection:
                connection.request("GET", "/-/world.json")
                told = json.loads(connection.getresponse().read())
            assert told["hosts"] == json.loads(
                json.dumps(World(WorldOptions(5, 2, seed=3), address.port or 0).to_dict()["hosts"])
            )
        finally:
            process.kill()


# The judge sees what a guest does there.


def test_a_rude_guest_is_found_out(server: FixtureWorld, guest: Guest) -> None:
    delay, plain, inside = (one(server, kind) for kind in (HostKind.DELAY, HostKind.PLAIN, HostKind.INSIDE))
    limit = one(server, HostKind.LIMIT429)
    for path in ("/robots.txt", "/", "/page/1"):
        guest.ask(delay.origin + path)
    guest.ask(f"{plain.origin}/")
    guest.ask(f"{plain.origin}/robots.txt", **{"User-Agent": ""})
    guest.ask(f"{plain.origin}/robots.txt")
    guest.ask(f"{plain.origin}/private/1")
    guest.ask(f"{inside.origin}/")
    guest.ask(f"{limit.origin}/robots.txt")
    while guest.ask(f"{limit.origin}/")[0] == 200:
        pass
    guest.ask(f"{limit.origin}/")
    rules = Rules(hosts=server.world.rules, per_host=1, grace_s=0.0)
    found = {(violation.host, violation.kind) for violation in judge(server.access_log_blocking(), rules).violations}
    assert found == {
        (delay.netloc, Kind.TOO_SOON),
        (plain.netloc, Kind.BEFORE_ROBOTS),
        (plain.netloc, Kind.NAMELESS),
        (plain.netloc, Kind.ROBOTS_AGAIN),
        (plain.netloc, Kind.DISALLOWED),
        (inside.netloc, Kind.OFF_LIMITS),
        (limit.netloc, Kind.DURING_RETRY_AFTER),
    }


def test_rules_are_those_that_hosts_are_known_by(server: FixtureWorld) -> None:
    rules = server.world.rules
    assert rules.keys() == server.world.hosts.keys()
    assert rules[one(server, HostKind.FREE).netloc] == HostRules()
    assert rules[one(server, HostKind.DELAY).netloc].delay_s == SMALL.crawl_delay_s
