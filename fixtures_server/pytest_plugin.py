"""A pytest plugin: the fixture `fixture_server`.

    async def test_every_page_is_found(fixture_server):
        site = fixture_server(SiteOptions(pages=50))
        assert await crawl(site.url) == site.urls()

It is loaded in every pytest run of an environment that has this package, so it imports nothing until it is used.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fixtures_server.options import CorpusOptions, SiteOptions
    from fixtures_server.process import FixtureServer


class StartServer(Protocol):
    """What the fixture gives: options to a running server. It is the type to annotate `fixture_server` with."""

    def __call__(self, options: SiteOptions | CorpusOptions | None = None) -> FixtureServer: ...


@pytest.fixture(scope="session")
def fixture_server() -> Iterator[StartServer]:
    """A function from options to a running server. Equal options share one server, for the whole run.

    The servers share nothing else, and end with the run. A test that reads the access log, or counts on flaky
    addresses to fail anew, calls `await site.reset()` first, or uses a `key` of its own.
    """
    with ExitStack() as stack:
        running: dict[SiteOptions | CorpusOptions, FixtureServer] = {}

        def start(options: SiteOptions | CorpusOptions | None = None) -> FixtureServer:
            from fixtures_server.options import SiteOptions  # noqa: PLC0415
            from fixtures_server.process import FixtureServer  # noqa: PLC0415

            wanted = options if options is not None else SiteOptions()
            if wanted not in running:
                running[wanted] = stack.enter_context(FixtureServer(wanted))
            return running[wanted]

        yield start
