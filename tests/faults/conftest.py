from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fixtures_server.pytest_plugin import StartServer
from tests.faults.crawls import SITE, Crawl
from tests.faults.nursery import Nursery


@pytest.fixture(scope="package")
def nursery() -> Iterator[Nursery]:
    with closing(Nursery({})) as found:
        yield found


@pytest.fixture
def crawl(nursery: Nursery, fixture_server: StartServer, tmp_path: Path) -> Crawl:
    return Crawl(nursery, fixture_server(SITE), tmp_path, tmp_path / "state", tmp_path / "items.jsonl")
