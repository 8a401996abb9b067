"""Waiting for a host's slot outside its queue."""

from __future__ import annotations

import asyncio
from math import inf

from scraper.frontier.protocol import Answer
from scraper.frontier.schedule import Schedule


async def take_turn(schedule: Schedule, host: str) -> None:
    """Waits until a host may be contacted, and takes a slot of it, which goes back by `Schedule.free`.

    It comes before what the host's queue holds. The schedule's times must be those of the event loop.
    """
    now_s = asyncio.get_running_loop().time
    turn = schedule.ask(host)
    try:
        while (wait_s := schedule.take(turn, now_s())) is not None:
            turn.woken.clear()
            try:
                async with asyncio.timeout(None if wait_s == inf else wait_s):
                    await turn.woken.wait()
            except TimeoutError:
                pass
    except BaseException:
        schedule.withdraw(turn)
        raise
    try:
        if turn.start_s > now_s():
            await asyncio.sleep(turn.start_s - now_s())
    except BaseException:
        schedule.free(host, None, now_s())
        raise


class HostTurns:
    """What every frontier offers of its hosts' turns; see `scraper.frontier.protocol.Frontier`."""

    _schedule: Schedule

    def hold(self, host: str) -> None:
        self._schedule.hold(host)

    def release(self, host: str) -> None:
        self._schedule.release(host)

    async def turn(self, host: str) -> None:
        await take_turn(self._schedule, host)

    def put_off_s(self, host: str, now_s: float) -> float:
        return self._schedule.put_off_s(host, now_s)

    def left(self, host: str, answer: Answer | None, now_s: float) -> None:
        self._schedule.free(host, answer, now_s)
