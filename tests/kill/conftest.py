from collections.abc import Iterator

import pytest

from tests.kill.harness import Ground, ground


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "kill: crawls in processes of their own, which are killed; some seconds each")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A site of three hosts, for one crawl after another."""
    with ground(45, 1, tmp_path_factory.mktemp("site")) as place:
        yield place
