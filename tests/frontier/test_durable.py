"""The durable frontier: killed, closed and gone on with; and what it has in common with the one in memory."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
from collections import Counter
from pathlib import Path

import pytest

from scraper.errors import InvalidURL, StateError, StateRefused, UsageError
from scraper.frontier import MemoryFrontier
from scraper.frontier.durable import DurableFrontier
from scraper.frontier.retry import RetryPolicy
from scraper.frontier.state.reading import StateReader
from scraper.model import Delivery, Failure, Lease, Outcome, Request, Stage, State
from scraper.options import PaceOptions, StateOptions
from scraper.urls import Scope
from tests.frontier.conftest import Opening
from tests.frontier.model import (
    Clock,
    Steady,
    done,
    durable_frontier,
    failed,
    finish,
    image,
    lease,
    lease_all,
    policy,
    skipped,
    small,
)

SITE = "http://site.test/"


def pages(count: int, host: str = "site") -> list[Request]:
    return [Request(f"http://{host}.test/{number}") for number in range(count)]


# Gone on with


async def test_what_was_leased_when_it_was_killed_is_leased_again(opened: Opening, state: Path, tmp_path: Path) -> None:
    front = await opened(pages(3))
    first, second = lease(front), lease(front)
    await finish(front, done(first, SITE + "child"))
    again = await opened(path=image(state, tmp_path / "killed"))
    leases = lease_all(again)
    assert {(one.request.url, one.depth, one.attempt, one.crashes) for one in leases} == {
        (second.request.url, 0, 1, 1),
        (SITE + "2", 0, 1, 0),
        (SITE + "child", 1, 1, 0),
    }


async def test_a_clean_end_blames_nobody(opened: Opening) -> None:
    front = await opened(pages(2))
    lease(front)
    await front.aclose()
    assert [one.crashes for one in lease_all(await opened())] == [0, 0]


async def test_nothing_is_leased_that_came_to_its_end(opened: Opening) -> None:
    front = await opened(pages(3))
    one, two, three = lease_all(front)
    await finish(front, done(one), failed(two, retryable=False), skipped(three))
    before = front.statistics()
    await front.aclose()
    front = await opened(pages(3))
    await front.attend_once()
    assert front.lease(0.0) is None
    after = front.statistics()
    assert (after.done, after.failed, after.skipped, after.waiting) == (1, 1, 1, 0)
    assert (after.failures, after.skips, after.items, after.bytes) == (
        before.failures,
        before.skips,
        before.items,
        before.bytes,
    )


async def test_every_field_of_a_request_survives(opened: Opening) -> None:
    request = Request(
        SITE + "search",
        handler="shop:parse",
        method="POST",
        headers={"X-Page": "1"},
        body=b"\x00\xff",
        data={"page": [1, None, "GET"]},
        priority=-3,
        dedup_key="GET",
        accept="application/json",
    )
    await (await opened([request])).aclose()
    assert lease(await opened()).request == request


async def test_attempts_survive(opened: Opening, clock: Clock) -> None:
    await (await opened(pages(1))).aclose()
    for attempt in (1, 2, 3):
        front = await opened(retries=2)
        await front.attend_once()
        leased = lease(front)
        assert leased.attempt == attempt
        (settled,) = await finish(front, failed(leased))
        assert settled.state is (State.FAILED if attempt == 3 else State.WAITING)
        await front.aclose()
        clock.now_s += 60


async def test_a_wait_goes_on_over_a_restart(opened: Opening, clock: Clock) -> None:
    front = await opened(pages(1))
    await finish(front, failed(lease(front), retry_after_s=50.0))
    await front.aclose()
    clock.now_s += 49
    front = await opened()
    await front.attend_once()
    assert front.lease(0.0) is None
    clock.now_s += 2
    await front.attend_once()
    assert lease(front).attempt == 2


async def test_a_system_clock_that_went_back_holds_nobody_up(opened: Opening, clock: Clock) -> None:
    front = await opened(pages(1))
    await finish(front, failed(lease(front), retry_after_s=50.0))
    await front.aclose()
    clock.now_s -= 1_000_000
    front = await opened()
    clock.now_s += 51
    await front.attend_once()
    assert lease(front).attempt == 2


async def test_a_page_behind_a_redirect_stays_known(opened: Opening) -> None:
    front = await opened(pages(2))
    first, second = lease_all(front)
    await finish(front, done(first, final_url=SITE + "target"))
    await front.aclose()
    front = await opened()
    second = lease(front)
    settled = await finish(front, done(second, SITE + "target", final_url=SITE + "target"))
    assert settled[0].state is State.SKIPPED
    assert front.statistics().seen == 2


async def test_failed_pages_wait_again_when_asked(opened: Opening) -> None:
    front = await opened(pages(4))
    one, two, three, _ = lease_all(front)
    await finish(front, done(one), failed(two, retryable=False), skipped(three))
    await front.aclose()
    front = await opened(retry_failed=True)
    counts = front.statistics()
    assert (counts.done, counts.failed, counts.skipped, counts.waiting) == (1, 0, 1, 2)
    assert counts.failures == {}
    assert {each.request.url: each.attempt for each in lease_all(front)} == {two.request.url: 1, SITE + "3": 1}


async def test_a_place_that_a_seed_moved_to_stays_in_scope(opened: Opening) -> None:
    front = await opened(pages(2))
    front.widen("http://moved.test/")
    await finish(front, done(lease(front)))
    await front.aclose()
    front = await opened()
    await finish(front, done(lease(front), "http://moved.test/page"))
    assert front.statistics().dropped == {}


async def test_a_place_that_comes_while_a_commit_runs_is_kept(opened: Opening) -> None:
    """A fetch may end at any time, also while the file's thread writes."""
    front = await opened(pages(2))
    has_begun, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def insert(database: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(has_begun.set)
        assert may_end.wait(10)

    first = lease(front)
    front.widen("http://early.test/")
    commit = asyncio.create_task(front.commit(await front.settle([done(first)], 0.0), Delivery((), (insert,))))
    await has_begun.wait()
    front.widen("http://late.test/")
    may_end.set()
    assert await commit
    await finish(front, done(lease(front), SITE + "last"))
    await front.aclose()
    front = await opened()
    await finish(front, done(lease(front), "http://early.test/", "http://late.test/"))
    assert front.statistics().dropped == {}


async def test_many_hosts_and_pages_come_in_order_after_a_restart(opened: Opening, state: Path) -> None:
    chance = random.Random(1)
    hosts = [f"h{number}" for number in range(2_000)]
    requests = [
        Request(f"http://{host}.test/{number}", priority=chance.choice((0, 0, 0, 5)))
        for number in range(25)
        for host in hosts
    ]
    front = await opened(requests, scope="any")
    await front.aclose()
    front = await opened(scope="any", per_host=1_000)
    counts = front.statistics()
    assert (counts.seen, counts.waiting, counts.hosts_met) == (50_000, 50_000, 2_000)
    last: dict[str, int] = {}
    for _ in range(3_000):
        leased = front.lease(0.0)
        if leased is None:  # hosts come to work a few at a time
            await front.attend_once()
            leased = lease(front)
        host = leased.request.url.split("/")[2]
        assert leased.request.priority <= last.get(host, 5)
        last[host] = leased.request.priority
    assert front.statistics().leased == 3_000


async def test_a_seed_that_is_new_is_added_whatever_its_url(opened: Opening) -> None:
    one, two = (Request(SITE + "search", method="POST", body=body) for body in (b"q=1", b"q=2"))
    front = await opened([one])
    await finish(front, done(lease(front)))
    await front.aclose()
    assert lease(await opened([one, two])).request == two


async def test_seeds_that_are_known_are_no_duplicates_each_time(opened: Opening) -> None:
    for _ in range(3):
        front = await opened(pages(2))
        assert front.statistics().dropped == {}
        await front.aclose()


async def test_a_reason_in_any_text_can_be_read_again(opened: Opening, state: Path) -> None:
    front = await opened(pages(2))
    details = ["half a pair \ud800", "whole"]
    await finish(
        front,
        *(
            Outcome(leased, State.FAILED, Failure(Stage.PARSE, "handler_raised", detail))
            for leased, detail in zip(lease_all(front), details, strict=True)
        ),
    )
    await front.aclose()
    with StateReader(state) as reader:
        found = [each.detail or "" for each in reader.requests()]
    assert [each[:11] for each in found] == ["half a pair", "whole"]


# Crashes


async def crash(opened: Opening, state: Path, folder: Path, *, urls: set[str]) -> Path:
    """Opens the file, leases these pages and gives the file as it is when the process is killed then."""
    front = await opened(path=state)
    leased = {each.request.url for each in lease_all(front)}
    assert leased == urls
    return image(state, folder)


async def test_after_two_crashes_one_suspect_is_let_in_at_a_time(opened: Opening, state: Path, tmp_path: Path) -> None:
    front = await opened(pages(4))
    everything = {each.url for each in pages(4)}
    await front.aclose()
    killed = await crash(opened, state, tmp_path / "1", urls=everything)
    killed = await crash(opened, killed, tmp_path / "2", urls=everything)
    front = await opened([*pages(4), Request(SITE + "innocent")], path=killed)
    leased = {each.request.url: each for each in lease_all(front)}
    innocent = leased.pop(SITE + "innocent")
    (suspect,) = leased.values()
    assert (innocent.crashes, suspect.crashes) == (0, 2)
    await finish(front, done(innocent))
    assert front.lease(0.0) is None
    seen = [suspect]
    while front.statistics().waiting:
        await finish(front, done(seen[-1]))
        seen += lease_all(front)
    assert {each.request.url for each in seen} == everything
    assert all(each.crashes == 2 for each in seen)


async def test_the_crash_that_a_suspect_caused_is_its_own(opened: Opening, state: Path, tmp_path: Path) -> None:
    everything = {each.url for each in pages(3)}
    await (await opened(pages(3))).aclose()
    killed = await crash(opened, state, tmp_path / "1", urls=everything)
    killed = await crash(opened, killed, tmp_path / "2", urls=everything)
    front = await opened(path=killed)
    suspect = lease(front)
    assert front.lease(0.0) is None
    killed = image(killed, tmp_path / "3")
    front = await opened(path=killed)
    crashes = {}
    while (leased := front.lease(0.0)) is not None:
        crashes[leased.request.url] = leased.crashes
        await finish(front, done(leased))
    assert crashes == dict.fromkeys(everything, 2) | {suspect.request.url: 3}


async def test_a_suspect_that_ends_well_is_cleared(opened: Opening, state: Path, tmp_path: Path) -> None:
    await (await opened(pages(1))).aclose()
    killed = await crash(opened, state, tmp_path / "1", urls={SITE + "0"})
    front = await opened(path=killed)
    leased = lease(front)
    assert leased.crashes == 1
    await finish(front, failed(leased, retryable=False))
    await front.aclose()
    assert lease(await opened(path=killed, retry_failed=True)).crashes == 0


# As in memory


async def test_the_first_of_two_equal_seeds_counts(opened: Opening) -> None:
    memory = MemoryFrontier(scope=Scope("host"), pacer=Steady(8), retry=policy(2))
    front = await opened()
    for each in (memory, front):
        await each.add([Request(SITE, data=1), Request(SITE, data=2)])
        found = each.lease(0.0)
        assert found is not None
        assert found.request.data == 1
        assert each.statistics().dropped == {"duplicate": 1}


async def test_a_seed_that_is_no_url_is_refused_and_nothing_is_added(opened: Opening) -> None:
    front = await opened()
    with pytest.raises(InvalidURL):
        await front.add([Request(SITE), Request("nonsense")])
    assert front.statistics().seen == 0


async def test_a_seed_that_cannot_be_stored_is_refused_and_nothing_is_added(opened: Opening) -> None:
    front = await opened()
    with pytest.raises(UsageError, match="cannot be stored as JSON"):
        await front.add([Request(SITE), Request(SITE + "b", data={1, 2})])
    assert front.statistics().seen == 0


async def test_the_smallest_known_depth_counts(opened: Opening) -> None:
    front = await opened([Request(SITE), Request(SITE + "slow")])
    first, slow = lease(front), lease(front)
    await finish(front, done(first, SITE + "mid"))
    await finish(front, done(lease(front), SITE + "x"))
    await finish(front, done(slow, SITE + "x"))
    found = lease(front)
    assert (found.request.url, found.depth) == (SITE + "x", 1)


async def test_a_request_under_way_passes_its_smaller_depth_on_to_its_links(opened: Opening) -> None:
    front = await opened([Request(SITE), Request(SITE + "slow")])
    first, slow = lease(front), lease(front)
    await finish(front, done(first, SITE + "mid"))
    await finish(front, done(lease(front), SITE + "x"))
    x = lease(front)
    assert x.depth == 2
    await finish(front, done(slow, SITE + "x"))
    await finish(front, done(x, SITE + "y"))
    assert lease(front).depth == 2


async def test_a_page_that_waits_for_a_retry_is_moved_nearer_too(opened: Opening, clock: Clock) -> None:
    front = await opened([Request(SITE), Request(SITE + "slow")], max_depth=2)
    first, slow = lease(front), lease(front)
    await finish(front, done(first, SITE + "mid"))
    await finish(front, done(lease(front), SITE + "x"))
    await finish(front, failed(lease(front)))
    await finish(front, done(slow, SITE + "x"))
    clock.now_s += 60
    await front.attend_once()
    found = lease(front)
    assert (found.request.url, found.depth) == (SITE + "x", 1)
    await finish(front, done(found, SITE + "child"))
    assert lease(front).depth == 2


async def test_a_seed_that_comes_late_is_nearest_of_all(opened: Opening) -> None:
    front = await opened([Request(SITE)])
    await finish(front, done(lease(front), SITE + "mid"))
    await finish(front, done(lease(front), SITE + "x"))
    await front.add([Request(SITE + "x")])
    assert lease(front).depth == 0


async def test_links_out_of_scope_and_too_deep_are_counted_not_admitted(opened: Opening) -> None:
    front = await opened([Request(SITE)], max_depth=1)
    await finish(front, done(lease(front), SITE + "a", "http://other.test/"))
    await finish(front, done(lease(front), SITE + "b"))
    assert front.statistics().dropped == {"out_of_scope": 1, "too_deep": 1}
    assert front.lease(0.0) is None


async def test_two_redirects_to_one_page_in_one_commit_give_it_once(opened: Opening) -> None:
    front = await opened(pages(2))
    settled = await finish(front, *[done(each, final_url=SITE + "target") for each in lease_all(front)])
    assert [outcome.state for outcome in settled] == [State.DONE, State.SKIPPED]
    counts = front.statistics()
    assert (counts.items, counts.skips) == (1, {"duplicate_redirect": 1})


async def test_a_seed_that_comes_between_settling_and_the_commit_makes_it_settle_anew(opened: Opening) -> None:
    front = await opened(pages(1))
    outcome = done(lease(front), SITE + "child", final_url=SITE + "target")
    settled = await front.settle([outcome], 0.0)
    await front.add([Request(SITE + "target")])
    before = front.statistics()
    assert not await front.commit(settled, Delivery())
    assert front.statistics() == before
    (settled_anew,) = await finish(front, outcome)
    assert settled_anew.state is State.SKIPPED
    assert [each.request.url for each in lease_all(front)] == [SITE + "target"]


async def test_a_slot_is_free_when_the_page_is_fetched_not_when_it_is_committed(opened: Opening) -> None:
    front = await opened(pages(2), per_host=1)
    first = lease(front)
    assert front.lease(0.0) is None
    front.fetched(first, None, 0.0)
    assert lease(front).request.url == SITE + "1"


async def test_hosts_are_those_with_something_to_do(opened: Opening) -> None:
    front = await opened([*pages(1, "a"), *pages(1, "b")])
    assert front.statistics().hosts == 2
    await finish(front, *map(done, lease_all(front)))
    assert front.statistics().hosts == 0


async def test_a_priority_beyond_all_numbers_is_refused_or_leased(opened: Opening) -> None:
    """It is one number of 64 bits in the file; a request that no query finds would wait for ever."""
    front = await opened()
    try:
        await front.add([Request(SITE, priority=10**30), Request(SITE + "low", priority=-(10**30))])
    except ValueError:
        return
    await front.aclose()
    assert {each.request.url for each in lease_all(await opened())} == {SITE, SITE + "low"}


# While it runs


async def crawl(front: DurableFrontier, links: dict[str, list[str]], *, at_once: int) -> Counter[str]:
    """Fetches all there is; between its own commits it is woken by `attend` alone."""
    fetched: Counter[str] = Counter()
    changed = asyncio.Event()
    attending = asyncio.create_task(front.attend(changed.set))
    try:
        async with asyncio.timeout(20):
            while front.statistics().waiting:
                changed.clear()
                leases: list[Lease] = []
                while len(leases) < at_once and (leased := front.lease(0.0)) is not None:
                    front.fetched(leased, None, 0.0)
                    leases.append(leased)
                if leases:
                    fetched.update(each.request.url for each in leases)
                    outcomes = [done(each, *links.get(each.request.url, [])) for each in leases]
                    assert await front.commit(await front.settle(outcomes, 0.0), Delivery())
                else:
                    await changed.wait()
    finally:
        attending.cancel()
        await asyncio.wait([attending])
    return fetched


@pytest.mark.parametrize("hosts", [1, 2, 5])
@pytest.mark.parametrize("at_once", [1, 4, 100])
async def test_a_crawl_never_stands_still_while_something_waits(state: Path, hosts: int, at_once: int) -> None:
    chance = random.Random(hosts * at_once)
    names = [f"http://h{host}.test/{number}" for host in range(8) for number in range(12)]
    links = {name: chance.sample(names, 5) for name in names}
    seeds = [Request(names[0]), Request(names[-1])]
    with small(hosts=hosts):
        front = waking(state)
        try:
            await front.open(seeds)
            fetched = await crawl(front, links, at_once=at_once)
        finally:
            await front.aclose()
    reached = {seed.url for seed in seeds}
    ahead = list(reached)
    while ahead:
        found = set(links[ahead.pop()]) - reached
        reached |= found
        ahead += found
    assert fetched == Counter(reached)


def waking(path: Path) -> DurableFrontier:
    """A frontier that waits in `attend` by the real clock."""
    return DurableFrontier(
        StateOptions(path=path),
        about={},
        outputs=(),
        scope=Scope("any"),
        pacer=Steady(2),
        retry=RetryPolicy(PaceOptions(backoff_s=0.0)),
        in_flight=1,
    )


async def test_attend_wakes_what_may_be_tried_again(state: Path) -> None:
    front = waking(state)
    changed = asyncio.Event()
    try:
        await front.open(pages(1))
        attending = asyncio.create_task(front.attend(changed.set))
        await finish(front, failed(lease(front)))
        async with asyncio.timeout(20):
            while (again := front.lease(0.0)) is None:
                changed.clear()
                await changed.wait()
        assert again.attempt == 2
        attending.cancel()
        await asyncio.wait([attending])
    finally:
        await front.aclose()


async def test_hosts_beyond_the_room_take_turns(opened: Opening) -> None:
    """Also when no page gives a new link, which is how most crawls end."""
    with small(hosts=2, of_a_host=4):
        requests = [each for host in "abcdef" for each in pages(20, host)]
        front = await opened(requests, scope="any", per_host=1, in_flight=1)
        served: Counter[str] = Counter()
        for _ in range(60):
            leased = front.lease(0.0)
            if leased is None:
                await front.attend_once()
            else:
                served[leased.request.url.split("/")[2]] += 1
                await finish(front, done(leased))
        assert len(served) == 6
        assert max(served.values()) <= 3 * min(served.values())


async def test_a_file_of_many_hosts_is_not_read_into_memory_at_once(opened: Opening) -> None:
    requests = [each for host in range(40) for each in pages(30, f"h{host}")]
    await (await opened(requests, scope="any")).aclose()
    with small(hosts=1_000, entries=100, of_a_host=30):
        front = await opened(scope="any", in_flight=1)
        for _ in range(20):
            waiting = sum(len(host.waiting) for host in front._window._hosts.values())
            assert waiting <= 2 * 100 + 2 * len(front._window)
            await front.attend_once()


async def test_more_hosts_come_to_work_while_the_first_do_not_answer(opened: Opening) -> None:
    requests = [each for host in range(40) for each in pages(30, f"h{host}")]
    await (await opened(requests, scope="any")).aclose()
    with small(hosts=1_000, entries=100, of_a_host=30):
        front = await opened(scope="any", per_host=2, in_flight=1)
        hosts: set[str] = set()
        while len(hosts) < 40:
            front._wish.clear()
            leases = lease_all(front)
            assert leases
            hosts |= {each.request.url.split("/")[2] for each in leases}
            assert len(hosts) == 40 or front._wish.is_set()
            await front.attend_once()


async def test_attend_hears_what_happened_before_it_slept(state: Path) -> None:
    with small(hosts=1):
        front = waking(state)
    attending = None
    try:
        await front.open([*pages(1, "a"), *pages(1, "b")])
        await finish(front, done(lease(front)))
        assert front.lease(0.0) is None
        attending = asyncio.create_task(front.attend(lambda: None))
        for _ in range(3):
            await asyncio.sleep(0)
        assert front._lock.locked(), "it does not look for another host"
    finally:
        if attending is not None:
            attending.cancel()
            await asyncio.wait([attending])
        await front.aclose()


async def test_a_commit_that_is_cancelled_is_done_or_was_not_begun(opened: Opening) -> None:
    """A cancellation that comes while the file is written is delivered when it is known what became durable."""
    front = await opened(pages(2))
    has_begun, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def insert(database: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(has_begun.set)
        assert may_end.wait(10)

    settled = await front.settle([done(lease(front), SITE + "child")], 0.0)

    async def commit_and_go_on() -> None:
        assert await front.commit(settled, Delivery((), (insert,)))
        assert front.statistics().done == 1
        await asyncio.sleep(60)

    commit = asyncio.create_task(commit_and_go_on())
    await has_begun.wait()
    commit.cancel()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await commit
    counts = front.statistics()
    assert (counts.done, counts.leased, counts.seen) == (1, 0, 3)
    await front.aclose()
    assert (await opened()).statistics().done == 1


async def test_a_commit_that_fails_leaves_nothing(opened: Opening, state: Path, tmp_path: Path) -> None:
    def insert(database: sqlite3.Connection) -> None:
        database.execute("INSERT INTO no_such_table VALUES (1)")

    front = await opened(pages(1))
    outcome = done(lease(front), SITE + "child", final_url=SITE + "target")
    before = front.statistics()
    with pytest.raises(StateError, match=r"crawl\.db failed"):
        await front.commit([outcome], Delivery((), (insert,)))
    assert front.statistics() == before
    await front.aclose()
    front = await opened()
    counts = front.statistics()
    assert (counts.seen, counts.done, counts.items, counts.bytes) == (1, 0, 0, 0)
    (settled,) = await finish(front, done(lease(front), SITE + "target"))
    assert settled.state is State.DONE
    assert lease(front).request.url == SITE + "target"


async def test_steps_at_the_same_time_lose_nothing(opened: Opening, clock: Clock) -> None:
    """Seeds come, pages end and requests are woken while another of these waits for the file."""
    chance = random.Random(3)
    with small(hosts=3):
        front = await opened(pages(3), scope="any", per_host=2, in_flight=1)
        leases: list[Lease] = []
        ended: Counter[str] = Counter()

        async def end() -> None:
            batch = leases[:3]
            del leases[:3]
            outcomes = [
                failed(each)
                if each.attempt == 1 and chance.random() < 0.3
                else done(each, *(f"http://h{chance.randrange(6)}.test/{chance.randrange(30)}" for _ in range(4)))
                for each in batch
            ]
            settled = await finish(front, *outcomes)
            ended.update(each.lease.key for each in settled if each.state is State.DONE)

        async def fill() -> None:
            for _ in range(5):
                leased = front.lease(0.0)
                if leased is not None:
                    leases.append(leased)
                await asyncio.sleep(0)

        for _ in range(60):
            clock.now_s += 0.5
            await asyncio.gather(
                end(),
                fill(),
                front.add([Request(f"http://h{chance.randrange(6)}.test/seed{chance.randrange(20)}")]),
                front.attend_once(),
                fill(),
            )
        while front.statistics().waiting:
            clock.now_s += 100
            await front.attend_once()
            await fill()
            await end()
    assert set(ended.values()) == {1}
    counts = front.statistics()
    assert counts.seen == counts.done == len(ended)


async def test_the_file_is_left_alone_while_all_hosts_at_work_are_held_and_others_wait(opened: Opening) -> None:
    with small(hosts=2):
        front = await opened([*pages(4, "a"), *pages(4, "b"), *pages(4, "c")])
        names = [f"{name}.test:80" for name in "abc"]
        for name in names:
            front.hold(name)
        assert front.statistics().hosts == 2
        rounds = 0
        while front.lease(0.0) is None and front._wish.is_set():
            rounds += 1
            assert rounds < 5
            front._wish.clear()
            await front.attend_once()
        for name in names:
            front.release(name)
        while front.statistics().waiting:
            leases = lease_all(front)
            await finish(front, *map(done, leases)) if leases else await front.attend_once()
        assert front.statistics().done == 12


# Whose file it is


async def test_a_file_is_one_crawlers(opened: Opening) -> None:
    front = await opened(pages(1))
    with pytest.raises(StateRefused, match="is in use by process"):
        await opened()
    with pytest.raises(StateRefused, match="did not join"):
        await opened(join=True)
    await finish(front, done(lease(front)))


async def test_a_file_of_another_crawl_is_refused(opened: Opening) -> None:
    await (await opened(pages(1))).aclose()
    with pytest.raises(StateRefused, match=r"belongs to a crawl of http://site\.test/0"):
        await opened(pages(1, "other"))
    assert lease(await opened(pages(1))).request.url == SITE + "0"


async def test_a_crawl_that_was_refused_leaves_no_file(opened: Opening, state: Path) -> None:
    front = durable_frontier(state)
    with pytest.raises(UsageError):
        await front.open([Request(SITE, data={1})])
    await front.aclose()
    assert list(state.parent.iterdir()) == []


async def test_a_frontier_that_was_closed_says_so(opened: Opening, state: Path) -> None:
    front = await opened(pages(1))
    await front.aclose()
    await front.aclose()
    with pytest.raises(StateError, match="is closed"):
        front.lease(0.0)
    assert [file.name for file in state.parent.iterdir()] == [state.name]
