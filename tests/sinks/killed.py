"""A crawl's side of a sink, with a state, that is killed at every step of it: python -m tests.sinks.killed FOLDER NAME

Makes a folder for each step; in each of them the crawl is killed there, killed again in its next life's first
step, and then let go to its end. The steps of that last life are in steps.txt there.
"""

import asyncio
import itertools
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from scraper.sinks import ParquetSink, Resumable, sink_for
from tests.sinks.rows import records

BATCHES = [
    records(*({"n": n, "title": f"ü\u2028{n}", "price": n / 3 if n % 2 else None} for n in range(first, first + count)))
    for first, count in ((0, 2), (2, 5), (7, 1), (8, 0), (8, 12), (20, 3))
]


def sink_at(path: Path) -> Resumable:
    sink = ParquetSink(path, group_rows=5) if path.suffix == ".parquet" else sink_for(path)
    assert isinstance(sink, Resumable)
    return sink


async def crawl(path: Path) -> None:
    """Everything that the state beside the output has not got yet."""
    state = path.parent / "state.json"
    known: dict[str, Any] = json.loads(state.read_text()) if state.exists() else {"position": None, "done": 0}

    def commit(done: int) -> None:
        new = state.with_suffix(".new")
        new.write_text(json.dumps({"position": sink.position, "done": done}))
        new.replace(state)
        sink.committed(sink.position)

    sink = sink_at(path)
    await sink.resume(known["position"])
    try:
        commit(known["done"])
        for done, batch in enumerate(BATCHES[known["done"] :], known["done"] + 1):
            await sink.write(batch)
            commit(done)
        await sink.finish()
        commit(len(BATCHES))
    finally:
        await sink.close()


def life(path: Path, *, last_step: int | None) -> bool:
    """Whether a crawl in a process of its own came to its end, and was not killed at a step."""
    child = os.fork()
    if child == 0:
        steps: list[str] = []

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "scraper.sink":
                steps.append(arguments[0])
                if len(steps) == last_step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        status = 1
        try:
            asyncio.run(crawl(path))
            (path.parent / "steps.txt").write_text(" ".join(steps))
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.waitstatus_to_exitcode(status) == 0
    return True


def main(folder: Path, name: str) -> None:
    for step in itertools.count(1):
        path = folder / f"{step:03}" / name
        path.parent.mkdir()
        if life(path, last_step=step):
            break
        life(path, last_step=1)
        assert life(path, last_step=None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
