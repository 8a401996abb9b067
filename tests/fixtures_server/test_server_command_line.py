import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fixtures_server.__main__ import main

ROOT = Path(__file__).parents[2]


@contextmanager
def _running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command as a shell runs it, and the address that it prints."""
    with subprocess.Popen(
        [sys.executable, "-m", "fixtures_server", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("serving http://127.0.0.1:")
            yield process, line.split()[1]
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pages", "0"], "pages must be between 1 and"),
        (["--pages", "many"], "argument --pages: invalid int value: 'many'"),
        (["--page-bytes", "10"], "page_bytes must be between"),
        (["--links", "-1"], "links_per_page must be between"),
        (["--fan-out", "0"], "fan_out must be between"),
        (["--latency", "-1"], "latency_s must be between"),
        (["--latency", "nan"], "latency_s must be between"),
        (["--distribution", "normal"], "invalid choice"),
        (["--port", "65536"], "must be between 0 and 65535, not 65536"),
        (["--port", "x"], "must be between 0 and 65535, not x"),
        (["--host", "0.0.0.0"], "0.0.0.0 is not a loopback address"),
        (["--host", "::"], ":: is not a loopback address"),
        (["--host", "example.org"], "example.org is not an IP address"),
        (["--corpus", "/no/such/directory"], "/no/such/directory is not a directory"),
        (["--corpus", ".", "--pages", "3"], "are for a synthetic site, not for --corpus"),
        (["--access-log", "/no/such/directory/log"], "cannot start: [Errno 2] No such file or directory"),
        (["--unheard-of"], "unrecognized arguments: --unheard-of"),
        (["surplus"], "unrecognized arguments: surplus"),
    ],
)
def test_a_bad_option_gets_one_line_and_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("fixtures_server: ")
    assert said in printed.err


def test_a_port_that_is_taken_gets_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as stopped:
        main(["--port", str(taken.getsockname()[1])])
    assert stopped.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "address already in use" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_quietly(number: signal.Signals, ask: Callable[..., Any]) -> None:
    with _running("--pages", "3", "--seed", "5") as (process, url):
        assert ask(url).status == 200
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_it_stops_although_a_client_is_waiting() -> None:
    with _running() as (process, url):
        host, port = url.removeprefix("http://").rstrip("/").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(b"GET /faults/silence-after-headers HTTP/1.1\r\n\r\n")
            connection.recv(1)
            process.terminate()
            while connection.recv(1 << 16):
                pass
        assert process.wait(10) == 0


def test_a_corpus_and_a_log_can_be_named(tmp_path: Path, ask: Callable[..., Any]) -> None:
    (tmp_path / "a.html").write_text("<p>saved")
    log = tmp_path / "log"
    with _running("--corpus", str(tmp_path), "--gzip", "--access-log", str(log)) as (process, url):
        assert ask(url + "a.html").body == b"<p>saved"
        process.terminate()
        process.wait(10)
    assert '"path": "/a.html"' in log.read_text()


def test_help_is_at_hand(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    assert "--page-bytes" in capsys.readouterr().out


def test_it_runs_without_uvloop(tmp_path: Path, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """uvloop is an optional dependency; the two loops differ in what their transports do."""
    (tmp_path / "uvloop.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    with _running() as (process, url):
        for path in ("", "page/3", "faults/flaky", "faults/chunked", "nowhere", "faults/huge-page?megabytes=5"):
            assert ask(url + path).status in (200, 404, 503)
        with pytest.raises(ConnectionResetError):
            ask(url + "faults/reset")
        process.terminate()
        assert process.wait(10) == 0
