"""A cache of answers in one file, so that a site is not asked twice.

It stands between the fetcher and the network and sees one exchange at a time, so that a redirect is an answer like
any other: whoever follows redirects asks the gate for every hop, stored or not. It knows nothing of aiohttp.

    fetcher ─hop─► HopCache ─hop─► network      `cache.py`: which mode does what
                     │  ▲                       `policy.py`: what RFC 9111 says, as pure functions
                     ▼  │                       `off_loop.py`: the thread that all I/O is in
                   CacheFile                    `file.py`: the SQLite file

hishel, the library that knows these rules without doing I/O, ties them to requests, responses and a storage of its own,
which keeps what requests sent; those of a private cache are the hundred lines of `policy.py`.
"""

from scraper.fetch.cache.answer import Answer, Pairs
from scraper.fetch.cache.cache import HopCache

__all__ = ["Answer", "HopCache", "Pairs"]
