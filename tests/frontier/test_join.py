"""Several crawlers on one file."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest

from scraper.errors import StateError, StateRefused
from scraper.frontier import FrontierStatistics, durable
from scraper.model import Delivery, Failure, Lease, Request, Stage, State
from tests.frontier.conftest import Opening
from tests.frontier.model import Clock, Stepped, die, done, failed, finish, image, lease, lease_all, small

HOSTS = [f"http://h{number}.test" for number in range(6)]


def pages(count: int, *hosts: str) -> list[Request]:
    return [Request(f"{host}/{number}") for host in hosts for number in range(count)]


def hosts_of(leases: Iterable[Lease]) -> set[str]:
    return {each.request.url.rpartition("/")[0] for each in leases}


async def meet(*fronts: Stepped) -> None:
    for front in fronts:
        await front.attend_once()


def shared(counts: FrontierStatistics) -> tuple[object, ...]:
    """What crawlers of one file agree on."""
    return (counts.seen, counts.done, counts.failed, counts.skipped, counts.waiting, counts.items, counts.dropped)


async def two_with_a_host_each(opened: Opening, *, per_host: int = 8) -> tuple[Stepped, Stepped]:
    """The first has four pages of `HOSTS[0]`, the second four of `HOSTS[1]`."""
    one = await opened(pages(4, HOSTS[0]), join=True, scope="any", per_host=per_host)
    two = await opened(join=True, scope="any", per_host=per_host)
    await two.add(pages(4, HOSTS[1]))
    return one, two


async def test_a_host_is_one_crawlers(opened: Opening) -> None:
    one, two = await two_with_a_host_each(opened)
    assert hosts_of(lease_all(one)) == {HOSTS[0]}
    assert hosts_of(lease_all(two)) == {HOSTS[1]}


async def test_who_did_not_join_is_refused(opened: Opening) -> None:
    await opened(pages(1, HOSTS[0]), join=True)
    with pytest.raises(StateRefused, match="is in use"):
        await opened()


async def test_one_that_has_no_host_is_given_some(opened: Opening) -> None:
    one = await opened(pages(3, *HOSTS), join=True)
    two = await opened(join=True)
    await meet(two, one, two)
    shares = [hosts_of(lease_all(front)) for front in (one, two)]
    assert shares[0] | shares[1] == set(HOSTS)
    assert not shares[0] & shares[1]
    assert [len(share) for share in shares] == [3, 3]


async def test_what_is_under_way_is_finished_before_its_host_is_given_away(opened: Opening) -> None:
    one = await opened(pages(3, *HOSTS[:2]), join=True, per_host=1)
    two = await opened(join=True, per_host=1)
    under_way = lease_all(one)
    await meet(two, one, two, one, two)
    assert two.lease(0.0) is None
    await finish(one, *map(done, under_way))
    await meet(one, two)
    shares = [hosts_of(lease_all(front)) for front in (one, two)]
    assert [len(share) for share in shares] == [1, 1]
    assert shares[0] != shares[1]


async def test_hosts_are_not_given_to_one_that_has_as_many(opened: Opening) -> None:
    one, two = await two_with_a_host_each(opened)
    for _ in range(3):
        await meet(one, two)
    assert hosts_of(lease_all(one)) == {HOSTS[0]}
    assert hosts_of(lease_all(two)) == {HOSTS[1]}


async def test_what_a_dead_crawler_had_is_leased_within_a_meeting(opened: Opening) -> None:
    one, two = await two_with_a_host_each(opened, per_host=2)
    lost = {each.request.url for each in lease_all(one)}
    assert len(lost) == 2
    lease_all(two)
    await die(one)
    await meet(two)
    taken = {each.request.url: each.crashes for each in lease_all(two)}
    assert taken == dict.fromkeys(lost, 1)


async def test_what_waited_for_a_retry_is_taken_over_too(opened: Opening, clock: Clock) -> None:
    one, two = await two_with_a_host_each(opened)
    leases = lease_all(one)
    await finish(one, *(failed(each) for each in leases))
    lease_all(two)
    await die(one)
    await meet(two)
    assert two.lease(0.0) is None
    clock.now_s += 60
    await meet(two)
    assert {(each.request.url, each.attempt) for each in lease_all(two)} == {(each.request.url, 2) for each in leases}


async def test_what_one_left_in_good_order_is_taken_over_without_blame(opened: Opening) -> None:
    one, two = await two_with_a_host_each(opened)
    left = {each.request.url for each in lease_all(one)}
    lease_all(two)
    await one.aclose()
    await meet(two)
    assert {each.request.url: each.crashes for each in lease_all(two)} == dict.fromkeys(left, 0)


async def test_one_that_is_silent_loses_its_hosts_and_cannot_commit(
    opened: Opening, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_PATIENCE_S", 5.0)
    one, two = await two_with_a_host_each(opened)
    mine = lease_all(one)
    others = lease_all(two)
    await meet(one, two)
    for _ in range(5):
        clock.now_s += 1.0
        await meet(two)
    assert two.lease(0.0) is None
    clock.now_s += 0.1
    await meet(two)
    taken = {each.request.url: each.crashes for each in lease_all(two)}
    assert taken == {each.request.url: 0 for each in mine}
    before = two.statistics()
    outcome = done(mine[0], f"{HOSTS[0]}/new", final_url=f"{HOSTS[0]}/target")
    with pytest.raises(StateError, match="took over"):
        await one.commit(await one.settle([outcome], 0.0), Delivery())
    with pytest.raises(StateError, match="took over"):
        await one.add(pages(1, HOSTS[5]))
    await one.aclose()
    await meet(two)
    assert shared(two.statistics()) == shared(before)
    await finish(two, done(others[0], f"{HOSTS[0]}/new", f"{HOSTS[0]}/target"))
    assert two.statistics().seen == before.seen + 2


async def test_one_that_shows_itself_keeps_its_hosts(
    opened: Opening, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_PATIENCE_S", 5.0)
    one, two = await two_with_a_host_each(opened)
    mine = lease_all(one)
    lease_all(two)
    for _ in range(5):
        clock.now_s += 4.0
        await meet(one, two)
    assert two.lease(0.0) is None
    await finish(one, *map(done, mine))


async def test_what_both_find_is_admitted_once(opened: Opening) -> None:
    one, two = await two_with_a_host_each(opened)
    found = f"{HOSTS[2]}/found"
    await finish(one, done(lease(one), found))
    await finish(two, done(lease(two), found))
    await meet(one, two)
    assert shared(one.statistics()) == shared(two.statistics())
    assert one.statistics().seen == 9
    assert one.statistics().dropped == {"duplicate": 1}
    leases = [*lease_all(one), *lease_all(two)]
    assert [each.request.url for each in leases].count(found) == 1


async def test_what_one_finds_on_the_others_host_reaches_the_other(opened: Opening) -> None:
    one, two = await two_with_a_host_each(opened)
    lease_all(two)
    await finish(one, done(lease(one), f"{HOSTS[1]}/found"))
    assert f"{HOSTS[1]}/found" not in {each.request.url for each in lease_all(one)}
    assert two.lease(0.0) is None
    await meet(two)
    assert lease(two).request.url == f"{HOSTS[1]}/found"


async def test_a_page_that_both_are_led_to_is_kept_once(opened: Opening) -> None:
    one, two = await two_with_a_host_each(opened)
    target = f"{HOSTS[3]}/target"
    outcomes = [done(lease(front), f"{HOSTS[4]}/child", final_url=target) for front in (one, two)]
    settled = [await front.settle([outcome], 0.0) for front, outcome in zip((one, two), outcomes, strict=True)]
    assert [each.state for (each,) in settled] == [State.DONE, State.DONE]
    assert await one.commit(settled[0], Delivery())
    before = two.statistics()
    assert not await two.commit(settled[1], Delivery())
    assert two.statistics() == before
    (anew,) = await finish(two, outcomes[1])
    assert (anew.state, anew.items) == (State.SKIPPED, ())
    await meet(one, two)
    assert shared(one.statistics()) == shared(two.statistics())
    counts = one.statistics()
    assert (counts.items, counts.skips) == (1, {"duplicate_redirect": 1})


async def test_a_place_that_one_takes_into_scope_is_in_scope_for_the_other(opened: Opening) -> None:
    one = await opened(pages(2, HOSTS[0]), join=True)
    two = await opened(join=True)
    await two.add(pages(2, HOSTS[1]))
    await one.add(pages(1, HOSTS[2]))
    one.widen(f"{HOSTS[3]}/")
    await finish(one, done(lease(one)))
    await meet(two)
    await finish(two, done(lease(two), f"{HOSTS[2]}/child", f"{HOSTS[3]}/child"))
    assert two.statistics().dropped == {}


async def test_failed_pages_are_not_revived_under_the_hands_of_others(opened: Opening) -> None:
    one = await opened(pages(2, HOSTS[0]), join=True)
    first, _ = lease_all(one)
    await finish(one, failed(first, retryable=False))
    with pytest.raises(StateRefused, match="in use by others"):
        await opened(join=True, retry_failed=True)
    await meet(one)
    assert one.statistics().failed == 1
    await one.aclose()
    two = await opened(join=True, retry_failed=True)
    assert {each.request.url for each in lease_all(two)} == {f"{HOSTS[0]}/0", f"{HOSTS[0]}/1"}


async def test_one_that_leaves_before_the_first_request_takes_nothing_away(opened: Opening, state: Path) -> None:
    one = await opened(join=True)
    two = await opened(join=True)
    await one.aclose()
    await two.add(pages(1, HOSTS[0]))
    assert lease(two).request.url == f"{HOSTS[0]}/0"


async def test_suspects_that_were_held_back_come_when_the_next_is_given_away(
    opened: Opening, state: Path, tmp_path: Path
) -> None:
    path = state
    await (await opened(pages(1, *HOSTS[:4]))).aclose()
    for crash in range(2):
        front = await opened(path=path)
        assert len(lease_all(front)) == 4
        path = image(path, tmp_path / f"killed{crash}")
    one = await opened(path=path, join=True)
    (suspect,) = lease_all(one)  # three are held back
    await finish(one, done(suspect))  # one of them waits in line again
    one._window.give_away(1)
    two = await opened(path=path, join=True)
    seen = {suspect.request.url}
    for _ in range(12):
        await meet(one, two)
        for front in (one, two):
            for leased in lease_all(front):
                seen.add(leased.request.url)
                await finish(front, done(leased))
    assert seen == {each.url for each in pages(1, *HOSTS[:4])}


@pytest.mark.parametrize("seed", range(6))
async def test_a_shared_crawl_fetches_everything_once(opened: Opening, clock: Clock, seed: int) -> None:
    """Three work on a graph of pages, in any order; one of them dies half-way, another leaves."""
    chance = random.Random(seed)
    names = [f"{host}/{number}" for host in HOSTS for number in range(15)]
    links = {name: chance.sample(names, 4) for name in names}
    with small(hosts=3, hosts_joined=3, entries=12, of_a_host=4):
        fronts = [
            await opened(pages(2, *HOSTS) if at == 0 else [], join=True, per_host=2, in_flight=1) for at in range(3)
        ]
        leases: dict[Stepped, list[Lease]] = {front: [] for front in fronts}
        ended: Counter[str] = Counter()
        failures = Counter(chance.sample(names, 10))
        for step in range(3_000):
            front = chance.choice(fronts)
            mine = leases[front]
            if chance.random() < 0.3:
                clock.now_s += 1.0
                await meet(front)
            mine += [leased for leased in (front.lease(0.0) for _ in range(3)) if leased is not None]
            at_work = [hosts_of(each) for each in leases.values()]
            assert sum(map(len, at_work)) == len(set().union(*at_work)), "a host is two crawlers' at a time"
            batch = mine[: chance.randrange(3)]
            outcomes = []
            for each in batch:
                url = each.request.url
                fails = failures[url] > 0
                failures[url] -= fails
                outcomes.append(failed(each) if fails else done(each, *links[url]))
                ended[url] += not fails
            if batch:
                await finish(front, *outcomes)
                del mine[: len(batch)]
            if step in (100, 200):
                leaving = fronts.pop()
                leases.pop(leaving)
                await (die(leaving) if step == 100 else leaving.aclose())
            if step > 200 and not front.statistics().waiting:
                break
        await meet(*fronts)
        (last,) = fronts
        counts = last.statistics()
    assert set(ended.values()) == {1}
    assert (counts.waiting, counts.failed, counts.skipped) == (0, 0, 0)
    assert counts.done == counts.items == counts.seen == len(ended)


async def test_a_host_is_not_taken_with_a_stale_scope(opened: Opening) -> None:
    """Another one's seeds come into scope with the commit that takes their hosts, and not at the next meeting."""
    one = await opened(pages(1, HOSTS[0]), join=True, scope="host")
    two = await opened(join=True, scope="host")
    await meet(two, one)
    mine = lease(one)
    await two.add(pages(1, *HOSTS[1:]))
    await finish(one, done(mine))
    for leased in lease_all(one):
        host = leased.request.url.rpartition("/")[0]
        await finish(one, done(leased, f"{host}/child"))
    assert one.statistics().dropped.get("out_of_scope", 0) == 0


async def test_counts_are_those_of_the_file_after_each_commit(opened: Opening) -> None:
    """A crawler that believed its own count would leave while others work."""
    one = await opened(pages(2, HOSTS[0]), join=True, scope="any")
    two = await opened(join=True, scope="any")
    await two.add(pages(5, HOSTS[1]))
    await finish(one, *map(done, lease_all(one)))
    assert one.statistics().waiting == 5


async def test_one_that_stood_still_itself_does_not_blame_the_others(opened: Opening) -> None:
    one = await opened(pages(1, HOSTS[0]), join=True)
    two = await opened(join=True)
    await meet(one, two, one)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durable, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + 1_000.0, time=time.time))
        await two.attend_once()
    await one.attend_once()
    assert lease(one).request.url == f"{HOSTS[0]}/0"


async def test_a_host_that_is_taken_over_is_left_alone_as_long_as_it_had_asked_for(opened: Opening) -> None:
    one = await opened(pages(2, HOSTS[0]), join=True, scope="any")
    two = await opened(join=True, scope="any")
    leased = one.lease(0.0)
    assert leased is not None
    now_s = asyncio.get_running_loop().time()
    one.fetched(leased, Failure(Stage.FETCH, "http_429", "", retryable=True, retry_after_s=600.0), now_s)
    await finish(one, failed(leased, retryable=False))
    await one.aclose()
    await two.attend_once()
    assert two.lease(now_s) is None
    assert two.lease(now_s + 599.0) is None
    assert two.lease(now_s + 601.0) is not None
