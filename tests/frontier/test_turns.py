"""Waiting for a host outside its queue."""

import asyncio

import pytest

from scraper.frontier.pace import Pacer
from scraper.frontier.schedule import Entry, Schedule
from scraper.frontier.turns import take_turn
from scraper.model import Skip
from scraper.options import PaceOptions
from tests.frontier.model import Steady

HOST = "a.test:80"


async def test_a_turn_comes_when_a_slot_is_given_back() -> None:
    schedule = Schedule(Steady(1))
    await take_turn(schedule, HOST)
    waiting = asyncio.create_task(take_turn(schedule, HOST))
    await asyncio.sleep(0)
    assert not waiting.done()
    schedule.free(HOST, None, asyncio.get_running_loop().time())
    await waiting


async def test_a_turn_comes_when_its_time_has_come() -> None:
    now_s = asyncio.get_running_loop().time
    schedule = Schedule(Pacer(PaceOptions(delay_s=0.02)))
    await take_turn(schedule, HOST)
    ended_s = now_s()
    schedule.free(HOST, Skip("redirect"), ended_s)
    await take_turn(schedule, HOST)
    assert now_s() >= ended_s + 0.02


async def test_who_is_cancelled_in_line_lets_the_next_one_pass() -> None:
    schedule = Schedule(Steady(1))
    schedule.push(Entry("a", "http://a.test/", HOST, 0))
    await take_turn(schedule, HOST)
    first = asyncio.create_task(take_turn(schedule, HOST))
    second = asyncio.create_task(take_turn(schedule, HOST))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    schedule.free(HOST, None, asyncio.get_running_loop().time())
    await second
    schedule.free(HOST, None, asyncio.get_running_loop().time())
    assert schedule.pop(asyncio.get_running_loop().time()) is not None


async def test_who_is_cancelled_before_the_start_that_the_rate_permits_leaves_slot_and_start_to_others() -> None:
    now_s = asyncio.get_running_loop().time
    schedule = Schedule(Pacer(PaceOptions(rate_per_s=1.0, per_host=1)))
    await take_turn(schedule, "b.test:80")
    waiting = asyncio.create_task(take_turn(schedule, HOST))
    await asyncio.sleep(0)
    schedule.push(Entry("a", "http://a.test/", HOST, 0))
    assert schedule.pop(now_s() + 1.0) is None  # the start is taken, although it has not come
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert schedule.pop(now_s() + 1.0) is not None
