"""A site of named faults, and one attempt at a URL."""

from collections.abc import Iterator

import pytest

from fixtures_server import FixtureServer, SiteOptions


@pytest.fixture(scope="package")
def site() -> Iterator[FixtureServer]:
    with FixtureServer(SiteOptions(pages=10)) as server:
        yield server
