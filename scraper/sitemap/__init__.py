"""Sitemaps: the URLs that a site lists of itself, read piece by piece in constant memory.

    bytes ─► unpacked ─► text ─► XML or lines ─► entries      SitemapReader: one file, without I/O

    starts ─► fetch ─► entries ─► URLs of pages               SitemapWalk: all files, one after another
                ▲         │
                └─────────┘ files that an index lists, each once

A sitemap is XML (https://www.sitemaps.org/protocol.html), RSS, Atom or plain text, each possibly packed with gzip.
What a site sends may be anything, so nothing in a file raises: a file is read up to where it stops making sense, the
`Problem` says why, and what is left out is counted by reason:

| reason | what was left out |
|---|---|
| `no_loc` | an entry without an address |
| `extra_loc` | a second address in an entry |
| `loc_too_long` | an address longer than a URL may be |
| `undecodable` | an address with bytes that its encoding does not have, or an entity that nothing declares |
| `not_a_url` | a line of a text file that is no address |
| `bad_lastmod` | a date that cannot be read; its entry stays, as one of unknown date |
| `older` | an entry, or an indexed file, that has not changed since the moment asked for |
| `invalid_url` | an address that is no http or https URL |
| `out_of_scope` | a URL that the caller's scope does not admit |
| `sitemap_out_of_scope` | an indexed file on a foreign site |
| `sitemap_repeated` | an indexed file that is known already, as in an index that lists itself |
| `sitemap_too_deep` | an indexed file behind too many indexes |
| `too_many_sitemaps` | an indexed file beyond the number that is read |
| `sitemap_unread` | a file that the walk did not come to before it had all the URLs it may give |

| a file's problem | |
|---|---|
| `empty` | nothing but white space |
| `html` | a page, as sites send one for what they do not have |
| `not_a_sitemap` | none of the forms |
| `broken_xml`, `truncated`, `bad_gzip` | read up to there |
| `declarations` | a DTD of its own, which is how entity bombs and external entities come; nothing of it is read |
| `too_large`, `gzip_bomb`, `too_many_entries` | read up to the bound |
| `too_deep`, `too_many_names`, `markup_too_long` | markup that no sitemap has and that costs memory or time |
| `too_many_urls` | the walk ended in this file |

The package imports the shared values and no stage, except for `parse.encoding`, whose functions are pure.
"""

from scraper.sitemap.reader import STEP_BYTES, SitemapReader
from scraper.sitemap.starts import sitemaps_of
from scraper.sitemap.values import Entry, Fetch, Form, Problem, SitemapLimits
from scraper.sitemap.walk import FileProblem, SitemapWalk, WalkStatistics

__all__ = [
    "STEP_BYTES",
    "Entry",
    "Fetch",
    "FileProblem",
    "Form",
    "Problem",
    "SitemapLimits",
    "SitemapReader",
    "SitemapWalk",
    "WalkStatistics",
    "sitemaps_of",
]
