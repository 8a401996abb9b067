import pickle

import pytest

import fixtures_server
from fixtures_server import FixtureServerError, LogEntry, OptionsRefused, SiteOptions


def test_the_public_names_are_these() -> None:
    assert fixtures_server.__all__ == [
        "Corpus",
        "CorpusOptions",
        "FixtureServer",
        "FixtureServerError",
        "FixtureWorld",
        "LogEntry",
        "OptionsRefused",
        "SiteOptions",
        "SyntheticSite",
        "World",
        "WorldOptions",
    ]
    for name in fixtures_server.__all__:
        assert getattr(fixtures_server, name).__name__ == name
    with pytest.raises(AttributeError, match="unheard_of"):
        _ = fixtures_server.unheard_of


def test_values_and_errors_survive_pickling() -> None:
    entry = LogEntry(1.0, None, "GET", "x", "/", 200, 5, 1, "", (("host", "x"),))
    for value in (SiteOptions(pages=3), entry):
        assert pickle.loads(pickle.dumps(value)) == value
    for error in (FixtureServerError("said"), OptionsRefused("said")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy)) == (type(error), "said")
