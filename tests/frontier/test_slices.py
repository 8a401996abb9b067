"""A page with very many links lets others run while it is committed, and is committed whole."""

import asyncio

import pytest

from scraper.frontier.memory import MemoryFrontier
from scraper.frontier.protocol import Frontier
from scraper.frontier.slices import in_slices
from scraper.model import Delivery, Lease, Outcome, Request, State
from scraper.urls import Scope
from tests.frontier.conftest import Opening
from tests.frontier.model import Steady, policy

SITE = "http://site.test/"
LINKS = tuple(f"{SITE}{n}" for n in range(30_000))


async def test_slices_are_all_there_is_in_its_order() -> None:
    for count in (0, 1, 4_096, 4_097, 10_000):
        found = [value async for some in in_slices(range(count)) for value in some]
        assert found == list(range(count))


async def leased(front: Frontier) -> Lease:
    lease = front.lease(0.0)
    assert lease is not None
    front.fetched(lease, None, 0.0)
    return lease


async def front_of(kind: str, opened: Opening) -> Frontier:
    if kind == "durable":
        return await opened([Request(SITE)])
    front = MemoryFrontier(scope=Scope("host"), pacer=Steady(8), retry=policy(0))
    await front.open([Request(SITE)])
    return front


@pytest.mark.parametrize("kind", ["memory", "durable"])
async def test_others_run_between_the_links_of_a_page(kind: str, opened: Opening) -> None:
    front = await front_of(kind, opened)
    outcome = Outcome(await leased(front), State.DONE, None, SITE, links=LINKS)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    assert await front.commit(await front.settle([outcome], 0.0), Delivery())
    counting.cancel()
    assert turns > len(LINKS) // 4_096
    assert front.statistics().seen == len(LINKS) + 1


@pytest.mark.parametrize("kind", ["memory", "durable"])
async def test_a_commit_that_is_cancelled_between_two_slices_comes_to_its_end(kind: str, opened: Opening) -> None:
    front = await front_of(kind, opened)
    outcome = Outcome(await leased(front), State.DONE, None, SITE, links=LINKS)
    settled = await front.settle([outcome], 0.0)
    committing = asyncio.create_task(front.commit(settled, Delivery()))
    while front.statistics().seen == 1 and not committing.done():
        await asyncio.sleep(0)
    committing.cancel()
    await asyncio.wait([committing])
    counts = front.statistics()
    assert (counts.seen, counts.done, counts.leased) == (len(LINKS) + 1, 1, 0)
