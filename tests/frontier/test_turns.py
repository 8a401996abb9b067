"""Waiting for a host outside its queue."""

import asyncio

import pytest

from scraper.frontier.pace import Pacer
from scraper.frontier.schedule import Entry, Schedule
from scraper.frontier.turns import take_turn
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
    schedule.free(HOST, None, ended_s)
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
