"""A local web site for crawlers: synthetic pages, a directory of saved pages, a world of hosts, or any named fault.

    async with FixtureServer(SiteOptions(pages=200)) as site:
        ...  # crawl site.url, compare with site.urls() and await site.access_log()

The server runs in a child process: in the crawler's own process it would share the GIL and falsify every figure.
`python -m fixtures_server` runs the same site from a shell. `FixtureWorld` is many sites with names, rules and moods;
`fixtures_server.judge` tells from an access log whether a crawler was a good guest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fixtures_server.access_log import LogEntry
    from fixtures_server.corpus import Corpus
    from fixtures_server.errors import FixtureServerError, OptionsRefused
    from fixtures_server.options import CorpusOptions, SiteOptions, WorldOptions
    from fixtures_server.process import FixtureServer, FixtureWorld
    from fixtures_server.site import SyntheticSite
    from fixtures_server.world import World

__all__ = [
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


def __getattr__(name: str) -> object:
    # The pytest plugin lives in this package and is imported in every pytest run, so the package imports nothing
    # until a name is asked for.
    from importlib import import_module  # noqa: PLC0415

    modules = {
        "Corpus": "corpus",
        "CorpusOptions": "options",
        "FixtureServer": "process",
        "FixtureServerError": "errors",
        "FixtureWorld": "process",
        "LogEntry": "access_log",
        "OptionsRefused": "errors",
        "SiteOptions": "options",
        "SyntheticSite": "site",
        "World": "world",
        "WorldOptions": "options",
    }
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{modules[name]}"), name)
