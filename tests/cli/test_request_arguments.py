"""What goes along with requests, as options of the command line."""

import argparse
import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scraper.cli import arguments
from scraper.errors import InvalidOption
from scraper.options import FetchOptions, OriginOptions
from tests.fetch.peer import Peer, Step, answer


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    arguments.add_limits(parser)
    arguments.add_addresses(parser)
    arguments.add_requests(parser)
    arguments.add_cache(parser)
    return parser.parse_args(words)


def options(*words: str) -> FetchOptions:
    return arguments.fetch_options(parsed(*words))


def test_nothing_goes_along_unless_it_is_asked_for() -> None:
    assert options() == FetchOptions()


def test_what_is_asked_for_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "a:b=c")
    monkeypatch.setenv("MY_PROXY", "http://me:s3cret@proxy.test:3128")
    found = options(
        *("--contact", "bot@example.org", "--cookies", "--proxy", "env:MY_PROXY"),
        *("--header", "X-Kind:  a: b ", "--header", "Authorization: env:MY_SECRET"),
        *(
            "--auth",
            "https://a.test=me:p=a:s",
            "--auth",
            "http://b.test:81=me:env:MY_SECRET",
            "--auth",
            "http://c.test=:",
        ),
    )
    assert found == FetchOptions(
        contact="bot@example.org",
        cookies=True,
        proxy="http://me:s3cret@proxy.test:3128",
        headers={"X-Kind": "a: b", "Authorization": "a:b=c"},
        origins=(
            OriginOptions(origin="https://a.test", auth=("me", "p=a:s")),
            OriginOptions(origin="http://b.test:81", auth=("me", "a:b=c")),
            OriginOptions(origin="http://c.test", auth=("", "")),
        ),
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--header", "s3cret"], "write 'NAME: VALUE'"),
        (["--header", ": s3cret"], "write 'NAME: VALUE'"),
        (["--header", "A: s3cret", "--header", "a: s3cret"], "a is given twice"),
        (["--header", "A: env:NO_SUCH_VARIABLE"], "no variable NO_SUCH_VARIABLE"),
        (["--auth", "s3cret"], "write ORIGIN=USER:PASSWORD"),
        (["--auth", "https://a.test=s3cret"], "write ORIGIN=USER:PASSWORD"),
        (["--auth", "https://a.test=me:env:NO_SUCH_VARIABLE"], "no variable NO_SUCH_VARIABLE"),
        (["--proxy", "s3cret"], "proxy must be a URL"),
        (["--proxy", "env:NO_SUCH_VARIABLE"], "no variable NO_SUCH_VARIABLE"),
        (["--contact", "me"], "contact must be"),
    ],
)
def test_what_is_wrong_is_said_without_the_secret(words: list[str], message: str) -> None:
    with pytest.raises(InvalidOption, match=message) as caught:
        options(*words)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "is_elsewhere"),
    [
        ("https://example.org/", True),
        ("https://example.org.:444/", True),
        ("http://93.184.215.14/", True),
        ("http://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/", True),
        ("http://127.0.0.1:8080/", False),
        ("http://[::1]/", False),
        ("http://10.0.0.5/", False),
        ("http://localhost/", False),
        ("http://intranet/", False),
        ("http://shop.localhost:81/", False),
        ("http://shop.test/", False),
        ("http://here.example.com/", False),
        ("http://here.example.com:81/", True),
    ],
)
def test_who_crawls_matters_to_others_alone(url: str, is_elsewhere: bool) -> None:
    assert arguments.is_elsewhere(parsed("--resolve", "here.example.com:80:127.0.0.1"), url) is is_elsewhere


@pytest.mark.parametrize(
    ("words", "is_introduced"),
    [
        ([], False),
        (["--header", "X-Kind: a"], False),
        (["--contact", "bot@example.org"], True),
        (["--user-agent", "bot/1 (https://example.org/bot)"], True),
        (["--header", "from: bot@example.org"], True),
        (["--header", "User-Agent: bot/1 (https://example.org/bot)"], True),
    ],
)
def test_who_is_introduced(words: list[str], is_introduced: bool) -> None:
    assert arguments.is_introduced(parsed(*words)) is is_introduced


@pytest.mark.parametrize(
    ("words", "is_told"), [([], True), (["--contact", "bot@example.org"], False), (["--quiet"], False)]
)
async def test_who_crawls_others_is_told_to_introduce_himself(words: list[str], is_told: bool) -> None:
    async with Peer((Step.ASKED, answer(b"<title>Page</title>")) * 4) as proxy:
        run = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scraper", "crawl", "http://example.org/", "--proxy", proxy.url, *words),
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await run.communicate()
    assert run.returncode == 0
    assert out == b""
    assert err.count(b"--contact URL|MAIL") == is_told
