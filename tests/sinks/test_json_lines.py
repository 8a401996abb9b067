import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from scraper.errors import OutputRefused, SinkError
from scraper.sinks import JsonLinesSink, Record


def record(**item: object) -> Record:
    return Record("key", "http://site/", 0, item)


async def test_a_batch_can_be_read_as_soon_as_it_was_taken(tmp_path: Path) -> None:
    """So that `tail -f` shows a crawl, and a kill costs no committed item."""
    path = tmp_path / "items.jsonl"
    sink = JsonLinesSink(path)
    await sink.open()
    await sink.write([record(n=1)])
    assert path.read_text() == '{"n":1}\n'
    await sink.close()


async def test_the_committed_length_is_known_after_every_batch(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    sink = JsonLinesSink(path)
    await sink.open()
    for n in range(3):
        await sink.write([record(n=n)])
        assert sink.length_bytes == path.stat().st_size == 8 * (n + 1)
    await sink.close()


async def test_line_separators_inside_of_text_do_not_end_a_line(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    sink = JsonLinesSink(path)
    await sink.open()
    await sink.write([record(text="a\nb\r\nc")])
    await sink.close()
    assert path.read_bytes().count(b"\n") == 1
    assert b"\r" not in path.read_bytes()


WRITE_TO_STDOUT = textwrap.dedent("""
    import asyncio
    from scraper.errors import ScraperError
    from scraper.sinks import Record, sink_for

    async def main():
        sink = sink_for("-")
        await sink.open()
        try:
            for n in range({count}):
                await sink.write([Record(str(n), "http://site/", 0, {{"n": n, "text": "x" * 1000}})])
        finally:
            await sink.close()

    try:
        asyncio.run(main())
    except ScraperError as exc:
        raise SystemExit(f"{{type(exc).__name__}}: {{exc}}")
""")


def test_a_dash_is_standard_output() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WRITE_TO_STDOUT.format(count=20)], capture_output=True, check=True, timeout=30
    )
    assert [json.loads(line)["n"] for line in done.stdout.splitlines()] == list(range(20))
    assert done.stderr == b""


def test_a_reader_that_stops_reading_is_said_plainly_and_leaves_no_noise() -> None:
    """`scraper crawl --output - | head` must not end in a traceback or in the interpreter's own complaint."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_TO_STDOUT.format(count=100_000)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdout.readline()
        writer.stdout.close()
        told = writer.stderr.read().decode().strip()
    assert told == "SinkError: standard output failed: its reader has closed the pipe"
    assert writer.returncode == 1


async def test_no_standard_output_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OutputRefused, match="no standard output"):
        await JsonLinesSink("-").open()


def test_a_write_that_fails_half_way_is_taken_back(tmp_path: Path) -> None:
    """Disk full in the middle of a batch: the file ends with the last whole line."""
    path = tmp_path / "items.jsonl"
    script = textwrap.dedent(f"""
        import asyncio, resource
        from scraper.errors import SinkError
        from scraper.sinks import JsonLinesSink, Record

        async def main():
            sink = JsonLinesSink({str(path)!r})
            await sink.open()
            await sink.write([Record("a", "u", 0, {{"n": 1}})])
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            try:
                await sink.write([Record("b", "u", 0, {{"text": "x" * 2000}})])
            except SinkError as exc:
                print(exc)
            await sink.close()

        asyncio.run(main())
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=30, text=True)
    assert "file too large" in done.stdout
    assert path.read_text() == '{"n":1}\n'


async def test_a_failing_write_keeps_its_cause(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    sink = JsonLinesSink("/dev/full")
    await sink.open()
    with pytest.raises(SinkError) as caught:
        await sink.write([record(n=1)])
    await sink.close()
    assert isinstance(caught.value.__cause__, OSError)
