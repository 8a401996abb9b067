"""Admission, leases, retries, redirects and numbers of the frontier in memory."""

import random

import pytest

from scraper.errors import InvalidURL
from scraper.frontier import MemoryFrontier
from scraper.frontier.retry import RetryPolicy
from scraper.model import Delivery, Failure, Lease, Outcome, Request, Skip, Stage, State
from scraper.options import PaceOptions, ScopeName
from scraper.urls import Scope
from tests.frontier.model import Steady

SITE = "http://site.test/"


def frontier(
    *, scope: ScopeName = "host", per_host: int = 8, max_depth: int | None = None, retries: int = 2
) -> MemoryFrontier:
    pace = PaceOptions(per_host=per_host, retries=retries, backoff_s=1.0, max_retry_after_s=100.0)
    policy = RetryPolicy(pace, random.Random(7))
    return MemoryFrontier(scope=Scope(scope), pacer=Steady(per_host), retry=policy, max_depth=max_depth)


def lease(front: MemoryFrontier, now_s: float = 0.0) -> Lease:
    leased = front.lease(now_s)
    assert leased is not None
    return leased


def done(leased: Lease, *links: str, final_url: str | None = None, requests: tuple[Request, ...] = ()) -> Outcome:
    return Outcome(leased, State.DONE, None, final_url or leased.request.url, ({"n": 1},), links, requests)


def failed(leased: Lease, *, retryable: bool = True, retry_after_s: float | None = None) -> Outcome:
    failure = Failure(Stage.FETCH, "http_503", retryable=retryable, retry_after_s=retry_after_s)
    return Outcome(leased, State.FAILED, failure)


async def finish(front: MemoryFrontier, *outcomes: Outcome, now_s: float = 0.0) -> list[Outcome]:
    for outcome in outcomes:
        front.fetched(outcome.lease, None, now_s)
    settled = await front.settle(outcomes, now_s)
    await front.commit(settled, Delivery())
    counts = front.statistics()
    assert counts.seen == counts.done + counts.failed + counts.skipped + counts.waiting
    return settled


async def test_a_seed_is_leased_once() -> None:
    front = frontier()
    await front.add([Request(SITE), Request(SITE + "#top")])
    assert lease(front).request.url == SITE
    assert front.lease(0.0) is None
    assert front.statistics().seen == 1


async def test_a_seed_that_is_no_url_is_refused_and_nothing_is_added() -> None:
    front = frontier()
    with pytest.raises(InvalidURL):
        await front.add([Request(SITE), Request("nonsense")])
    assert front.statistics().seen == 0


async def test_discovered_links_are_admitted_once_one_level_deeper() -> None:
    front = frontier()
    await front.add([Request(SITE)])
    await finish(front, done(lease(front), SITE + "a", SITE + "a", SITE))
    child = lease(front)
    assert (child.request.url, child.depth) == (SITE + "a", 1)
    counts = front.statistics()
    assert (counts.seen, counts.dropped) == (2, {"duplicate": 2})


async def test_links_out_of_scope_and_too_deep_are_counted_not_admitted() -> None:
    front = frontier(max_depth=1)
    await front.add([Request(SITE)])
    await finish(front, done(lease(front), SITE + "a", "http://other.test/"))
    await finish(front, done(lease(front), SITE + "b"))
    assert front.statistics().dropped == {"out_of_scope": 1, "too_deep": 1}
    assert front.lease(0.0) is None


async def test_the_smallest_known_depth_counts() -> None:
    """A page found at depth 2 and then at depth 1 is a page of depth 1."""
    front = frontier()
    await front.add([Request(SITE), Request(SITE + "slow")])
    first, slow = lease(front), lease(front)
    await finish(front, done(first, SITE + "mid"))
    await finish(front, done(lease(front), SITE + "x"))
    await finish(front, done(slow, SITE + "x"))
    found = lease(front)
    assert (found.request.url, found.depth) == (SITE + "x", 1)


async def test_a_request_in_flight_passes_its_smaller_depth_on_to_its_links() -> None:
    front = frontier()
    await front.add([Request(SITE), Request(SITE + "slow")])
    first, slow = lease(front), lease(front)
    await finish(front, done(first, SITE + "mid"))
    mid = lease(front)
    await finish(front, done(mid, SITE + "x"))
    x = lease(front)
    assert x.depth == 2
    await finish(front, done(slow, SITE + "x"))
    await finish(front, done(x, SITE + "y"))
    assert lease(front).depth == 2


async def test_a_whole_request_travels_through_the_frontier() -> None:
    front = frontier()
    await front.add([Request(SITE)])
    post = Request(SITE + "search", handler="m:parse_results", method="post", body=b"q=1", data={"page": 2})
    await finish(front, done(lease(front), requests=(post, post)))
    assert lease(front).request == post
    assert front.lease(0.0) is None


async def test_the_same_url_with_another_body_is_another_request() -> None:
    front = frontier()
    await front.add([Request(SITE, method="POST", body=body) for body in (b"1", b"2", b"1")])
    assert front.statistics().seen == 2


async def test_a_dedup_key_decides_what_is_the_same() -> None:
    front = frontier()
    await front.add([Request(f"{SITE}?session={n}", dedup_key="home") for n in range(3)])
    assert front.statistics().seen == 1


async def test_a_retryable_failure_comes_back_after_its_wait_and_holds_no_slot() -> None:
    front = frontier(per_host=1)
    await front.add([Request(SITE), Request(SITE + "b")])
    settled = await finish(front, failed(lease(front)), now_s=100.0)
    assert settled[0].state is State.WAITING
    assert lease(front, 100.0).request.url == SITE + "b"
    ready_s = front.next_ready_s()
    assert ready_s is not None
    assert 100.5 <= ready_s <= 101.5


async def test_attempts_end_and_the_last_failure_stands() -> None:
    front = frontier(retries=2)
    await front.add([Request(SITE)])
    now_s = 0.0
    for attempt in (1, 2):
        leased = lease(front, now_s)
        assert leased.attempt == attempt
        await finish(front, failed(leased), now_s=now_s)
        ready_s = front.next_ready_s()
        assert ready_s is not None
        now_s = ready_s
    settled = await finish(front, failed(lease(front, now_s)), now_s=now_s)
    assert settled[0].state is State.FAILED
    counts = front.statistics()
    assert (counts.failed, counts.waiting, counts.failures) == (1, 0, {"http_503": 1})


async def test_a_failure_that_will_not_change_is_not_tried_again() -> None:
    front = frontier()
    await front.add([Request(SITE)])
    settled = await finish(front, failed(lease(front), retryable=False))
    assert settled[0].state is State.FAILED


@pytest.mark.parametrize(("asked_s", "granted_s"), [(30.0, 30.0), (1e12, 100.0)])
async def test_retry_after_is_honoured_up_to_a_bound(asked_s: float, granted_s: float) -> None:
    front = frontier()
    await front.add([Request(SITE)])
    await finish(front, failed(lease(front), retry_after_s=asked_s))
    assert front.next_ready_s() == granted_s


async def test_a_redirect_to_a_known_page_is_skipped_without_its_items() -> None:
    front = frontier()
    await front.add([Request(SITE), Request(SITE + "old")])
    home, old = lease(front), lease(front)
    await finish(front, done(home))
    settled = await finish(front, done(old, SITE + "x", final_url=SITE))
    assert settled[0].state is State.SKIPPED
    assert settled[0].items == ()
    assert front.statistics().skips == {"duplicate_redirect": 1}
    assert front.lease(0.0) is None


async def test_two_redirects_to_one_page_in_one_commit_give_it_once() -> None:
    front = frontier()
    await front.add([Request(SITE + "1"), Request(SITE + "2")])
    outcomes = [done(lease(front), final_url=SITE + "target") for _ in range(2)]
    settled = await finish(front, *outcomes)
    assert [outcome.state for outcome in settled] == [State.DONE, State.SKIPPED]


async def test_a_page_behind_a_redirect_is_not_fetched_again_under_its_own_url() -> None:
    front = frontier()
    await front.add([Request(SITE + "old")])
    await finish(front, done(lease(front), SITE + "new", final_url=SITE + "new"))
    assert front.lease(0.0) is None
    assert front.statistics().seen == 1


async def test_a_slot_is_free_when_the_page_is_fetched_not_when_it_is_committed() -> None:
    """Parsing is no load on the site: a host with eight slots must not wait for eight pages to be parsed."""
    front = frontier(per_host=1)
    await front.add([Request(SITE), Request(SITE + "b")])
    first = lease(front)
    assert front.lease(0.0) is None
    front.fetched(first, None, 0.0)
    second = lease(front)
    front.fetched(second, None, 0.0)
    await finish(front, done(first), done(second))
    assert front.statistics().hosts == 0


async def test_skips_are_counted_by_reason() -> None:
    front = frontier()
    await front.add([Request(SITE)])
    await finish(front, Outcome(lease(front), State.SKIPPED, Skip("content_type")))
    assert front.statistics().skips == {"content_type": 1}


@pytest.mark.parametrize("seed", range(20))
async def test_numbers_add_up_on_any_course(seed: int) -> None:
    """A random crawl: whatever happens to leases, every request is in one state and every slot comes back."""
    chance = random.Random(seed)
    front = frontier(per_host=3, retries=1)
    await front.add([Request(SITE)])
    leases: list[Lease] = []
    now_s = 0.0
    for _ in range(400):
        now_s += chance.random()
        leased = front.lease(now_s)
        if leased is not None:
            leases.append(leased)
        if leases and (leased is None or chance.random() < 0.5):
            one = leases.pop(chance.randrange(len(leases)))
            links = [f"{SITE}{chance.randrange(60)}" for _ in range(3)]
            outcome = chance.choice([done(one, *links), failed(one), done(one, final_url=links[0])])
            await finish(front, outcome, now_s=now_s)
        assert len(leases) <= 3
        assert front.statistics().leased == len(leases)
