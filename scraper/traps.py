"""What keeps a crawl from going on for ever in a site that has no end, or that makes new URLs for old pages.

| reason | refused is what | limit | why |
|---|---|---|---|
| `trap_url_too_long` | has more characters | 2,083 | sites kept to the longest URL of old browsers, as Heritrix does |
| `trap_path_too_long` | has more segments in its path | 30 | deep source trees reach 25; Heritrix: 20 |
| `trap_repeated_segments` | has one segment in a row | 5 times | links without their leading slash, see below |
| | has several segments in a row | 3 times | the same, two pages long; Heritrix: 3 times for one segment, too |
| | has the same segments, one of them 3 times | 100 pages | the same, when many such links take turns |
| `trap_query_too_long` | has more parameters | 64 | large forms have 40 |
| `trap_repeated_parameters` | has one with one value | 9 times | links that add to the query that they are on |
| `trap_nested_encoding` | has something encoded four times | | a return address in a return address |
| `trap_session_id` | differs by its session id from one fetched | | each visit gets a new number |
| `trap_calendar` | has a date 30 to 50 years ahead, or 500 to 520 back | | each month leads to the next |
| | differs from others in its date alone | 100,000 pages | a newspaper of two centuries has fewer days |
| `trap_combinations` | has 3 parameters, after pages of its pattern | 10,000 | filters of a shop, see below |
| `trap_pattern_budget` | comes after so many pages of its pattern | none | only the user knows |
| `host_budget` | comes after so many pages of its host | none | only the user knows |

A link `news/` where `/news/` was meant, on a site that answers any path, leads to /news/news/news/ and so on. Three
times one segment is too early to tell: /all/all/all/ stands for three filters that are not set.

A pattern is a host and path with numbers and digests generalised, and the names of the parameters. Filters combine a
few values in ever new ways, and what they lead to was linked by the first of them. A forum or a catalogue may have
three parameters and a million pages, too, but one parameter is a number that few pages share. So what is refused has a
pattern of which ten times as many pages were fetched as it has different values; with 5,000 values it is free.

What a user or a sitemap names, which has depth 0, is no trap; it only counts. Sources: Heritrix 3,
`org.archive.modules.deciderules` (PathologicalPathDecideRule, TooManyPathSegmentsDecideRule). Of 28,802 links of 245
saved pages of the web none is refused.

Memory is bounded: of 16,384 patterns (1.5 KB each), as many URLs around a date and 65,536 with session ids, those met
last are remembered. What was forgotten begins anew: of a session's pages one more is fetched. Hosts are counted only
if there is a budget for them.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter, OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from scraper import urls
from scraper.model import Skip
from scraper.options import TrapOptions
from scraper.url_form import without_session

_PATTERNS = 16_384
_SESSIONS = 65_536
_CALENDARS = 16_384

_MOST_IN_A_ROW = 4  # a segment
_MOST_TIMES = 2  # several segments in a row; or a segment anywhere, before its neighbours' order is looked at
_MOST_ORDERS = 100
_MOST_EQUAL_PARAMETERS = 8
_NESTED_ENCODING = "%252525"  # what stands before the 2F of a slash that was encoded four times
# A calendar is walked, so it is enough to close the years that every walk passes through. What is further off is
# something else: a bond's maturity, "for ever" as 9999-12-31, the number of a topic.
_YEARS_PAST = 500
_YEARS_CLOSED = 20
_FEW_PARAMETERS = 2  # two numbers in a query, such as a topic and its page, are no filters

_USES_OF_A_VALUE = 10  # by pages, on average, from where on their parameters are taken for filters

# Distinct values are counted by their hashes in so many bits, as linear counting does: n values leave m·exp(-n/m) of
# m bits empty. A set of texts would take several hundred times the memory. Of more values than this none is counted.
_BITS = 8_192
_MANY_VALUES = 5_000
_MANY_BITS = round(_BITS * (1 - math.exp(-_MANY_VALUES / _BITS)))

# A date is taken for one only where nothing else looks like it: /5123/10 may be page 10 of a topic.
_DATE = re.compile(
    r"(?<![\w-])(?:(\d{4})-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])|(\d{4})/0[1-9]/(?:0[1-9]|[12]\d|3[01]))"
    r"(?![0-9A-SU-Za-z_-])"
)
_AFTER_SCHEME = len("https://")
_FOUR_DIGITS = re.compile(r"\d{4}")
_MONTH = re.compile(r"(?<![\w-])(\d{4})[-/](?:0[1-9]|1[0-2])(?![\w-])")
_CALENDAR = re.compile(r"(?<![a-z])(?:calend|kalend|month|week|dates?(?![a-z]))", re.IGNORECASE)
_YEAR_PARAMETER = re.compile(r"[?&](?:year|yr|y|jahr|annee|ano|anno)=(\d{4})(?=&|$)", re.IGNORECASE)
_MONTH_PARAMETER = re.compile(r"[?&](?:month|mon|mo|m|monat|mois|mes|mese)=[01]?\d(?=&|$)", re.IGNORECASE)
_DAY_PARAMETER = re.compile(r"[?&](?:day|d|tag|jour|dia|giorno)=[0-3]?\d(?=&|$)", re.IGNORECASE)

_VARYING = re.compile(r"[0-9a-f][0-9a-f-]{15,}|\d+", re.IGNORECASE)  # digests and UUIDs, numbers


class Traps:
    """Says of each request that is about to be fetched whether it is one too many.

    Args:
        options: where a trap begins; None looks for none.
        max_pages_per_host: requests to one host and port; None is no bound.
        this_year: what dates in URLs are measured by; None asks the clock.
    """

    def __init__(
        self, options: TrapOptions | None, *, max_pages_per_host: int | None = None, this_year: int | None = None
    ) -> None:
        self._options = options
        self._max_pages_per_host = max_pages_per_host
        self._this_year = this_year or datetime.now(UTC).year
        self._patterns: OrderedDict[str, _Pattern] = OrderedDict()
        self._sessions: OrderedDict[str, str] = OrderedDict()
        self._dates: OrderedDict[str, int] = OrderedDict()
        self._pages: dict[str, int] = {}

    def __repr__(self) -> str:
        return (
            f"<Traps {len(self._patterns)} patterns, {len(self._dates)} calendars, {len(self._sessions)} sessions, "
            f"{len(self._pages)} hosts>"
        )

    def restore(self, pages: Mapping[str, int]) -> None:
        """Goes on with the counts of earlier runs.

        Args:
            pages: requests that were fetched, by host and port as "host:port"; of a host that is known already the
                larger number counts.
        """
        for host, count in pages.items():
            self._pages[host] = max(count, self._pages.get(host, 0))

    def verdict(self, url: str, depth: int) -> Skip | None:
        """Why a request is not to be fetched; None if it is, and then it counts.

        To be called once for each request, before its first attempt.

        Args:
            url: canonical.
            depth: links followed from a seed; what has none is no trap.
        """
        most = self._max_pages_per_host
        if most is None and (self._options is None or _is_plain(url, self._options)):
            return None
        host = urls.host_port(url)
        if most is not None and self._pages.get(host, 0) >= most:
            return Skip("host_budget", f"{most:,} pages of {host} were fetched")
        if self._options is not None:
            date = _date(url)
            skip = (depth and self._lexical(url, date, self._options)) or self._counted(url, host, date, self._options)
            if skip and depth:
                return skip
        if most is not None:
            self._pages[host] = self._pages.get(host, 0) + 1
        return None

    def lexical(self, url: str) -> Skip | None:
        """As `verdict`, by what shows in the URL itself: nothing is counted, and it always says the same."""
        return None if self._options is None else self._lexical(url, _date(url), self._options)

    def _lexical(self, url: str, date: _Date | None, options: TrapOptions) -> Skip | None:
        if len(url) > options.max_url_chars:
            return Skip("trap_url_too_long", f"{len(url):,} characters: the limit is {options.max_url_chars:,}")
        if _NESTED_ENCODING in url:
            return Skip("trap_nested_encoding", "something in it was encoded again and again")
        path, _, query = url.partition("?")
        skip = _of_path(path, options) or _of_query(query, options)
        if skip is None and date is not None and self._is_closed(date.year, options):
            return Skip("trap_calendar", f"a date of the year {date.year}, where only a calendar leads")
        return skip

    def _is_closed(self, year: int, options: TrapOptions) -> bool:
        beyond = max(year - self._this_year - options.years_ahead, self._this_year - year - _YEARS_PAST)
        return 0 < beyond <= _YEARS_CLOSED

    def _counted(self, url: str, host: str, date: _Date | None, options: TrapOptions) -> Skip | None:
        return (
            self._of_session(url)
            or self._of_order(url, host)
            or (date and self._of_date(date, options.max_dates))
            or self._of_pattern(url, options)
        )

    def _of_session(self, url: str) -> Skip | None:
        bare = without_session(url)
        if bare == url:
            return None
        first = self._sessions.setdefault(bare, url)
        self._sessions.move_to_end(bare)
        if len(self._sessions) > _SESSIONS:
            self._sessions.popitem(last=False)
        if first == url:
            return None
        return Skip("trap_session_id", "the same but for its session id as one that was fetched")

    def _of_date(self, date: _Date, most: int) -> Skip | None:
        pages = self._dates.get(date.around, 0)
        if pages >= most:
            return Skip("trap_calendar", f"{most:,} pages were fetched that differ in their dates alone")
        self._dates[date.around] = pages + 1
        self._dates.move_to_end(date.around)
        if len(self._dates) > _CALENDARS:
            self._dates.popitem(last=False)
        return None

    def _of_order(self, url: str, host: str) -> Skip | None:
        segments = url.partition("?")[0].split("/")[3:]
        distinct = set(segments)
        if len(segments) - len(distinct) < _MOST_TIMES:
            return None
        if not any(count > _MOST_TIMES and _is_word(each) for each, count in Counter(segments).items()):
            return None
        pattern = self._pattern(f"{host}//{'/'.join(sorted(distinct))}")
        if pattern.pages >= _MOST_ORDERS:
            return Skip("trap_repeated_segments", f"made of the same segments as {_MOST_ORDERS} pages before")
        pattern.pages += 1
        return None

    def _of_pattern(self, url: str, options: TrapOptions) -> Skip | None:
        path, _, query = url.partition("?")
        parts = query.split("&") if query else []
        has_filters = len(parts) > _FEW_PARAMETERS
        most = options.max_pages_per_pattern
        if not has_filters and most is None:
            return None
        names = "&".join(sorted({part.partition("=")[0] for part in parts}))
        pattern = self._pattern(f"{_generalised(path)}?{names}")
        if most is not None and pattern.pages >= most:
            return Skip("trap_pattern_budget", f"{most:,} pages of its pattern were fetched")
        if has_filters and pattern.may_be_filters:
            if pattern.pages >= options.max_combinations and pattern.has_few_values:
                told = f"{options.max_combinations:,} combinations of the same few values were fetched"
                return Skip("trap_combinations", told)
            pattern.note(parts)
        pattern.pages += 1
        return None

    def _pattern(self, key: str) -> _Pattern:
        pattern = self._patterns.get(key)
        if pattern is None:
            pattern = self._patterns[key] = _Pattern()
            if len(self._patterns) > _PATTERNS:
                self._patterns.popitem(last=False)
        else:
            self._patterns.move_to_end(key)
        return pattern


def _is_plain(url: str, options: TrapOptions) -> bool:
    """Whether nothing that is looked for can be in a URL, which is so of most: they have no query, no four digits, and
    each segment once or twice.
    """
    if "?" in url or ";" in url or "(" in url or "%25" in url or options.max_pages_per_pattern is not None:
        return False
    path = url[url.find("/", _AFTER_SCHEME) :]
    segments = path.split("/")
    return (
        len(segments) - len(set(segments)) < _MOST_TIMES
        and len(segments) <= options.max_segments
        and len(url) <= options.max_url_chars
        and not _FOUR_DIGITS.search(path)
    )


class _Date(NamedTuple):
    """A date in a URL.

    Attributes:
        year: its year.
        around: the URL without it, which other dates share.
    """

    year: int
    around: str


class _Pattern:
    """Pages that were fetched of one pattern, and how many values their parameters have."""

    __slots__ = ("_bits", "_bits_set", "pages")

    def __init__(self) -> None:
        self.pages = 0
        self._bits: bytearray | None = None
        self._bits_set = 0

    @property
    def may_be_filters(self) -> bool:
        return self._bits_set < _MANY_BITS

    def note(self, parts: list[str]) -> None:
        """Counts the values of a page that is fetched."""
        bits = self._bits
        if bits is None:
            bits = self._bits = bytearray(_BITS // 8)
        for part in parts:
            index, bit = divmod(zlib.crc32(part.encode()) % _BITS, 8)
            if not bits[index] >> bit & 1:
                bits[index] |= 1 << bit
                self._bits_set += 1
        if not self.may_be_filters:
            self._bits = None

    @property
    def has_few_values(self) -> bool:
        values = -_BITS * math.log(1 - self._bits_set / _BITS)
        return values * _USES_OF_A_VALUE <= self.pages


def _of_path(path: str, options: TrapOptions) -> Skip | None:
    segments = path.split("/")[3:]
    if segments[-1] == "":
        segments.pop()
    count = len(segments)
    if count > options.max_segments:
        return Skip("trap_path_too_long", f"{count} segments in its path: the limit is {options.max_segments}")
    if count - len(set(segments)) >= _MOST_IN_A_ROW and (repeated := _repeated(segments)) is not None:
        return Skip("trap_repeated_segments", f"/{repeated} again and again in its path")
    return None


def _repeated(segments: list[str]) -> str | None:
    """The first run of segments that comes too often in a row. Runs of numbers do not count: there are not many."""
    for length in range(1, len(segments) // (_MOST_TIMES + 1) + 1):
        times = _MOST_IN_A_ROW + 1 if length == 1 else _MOST_TIMES + 1
        equal = 0  # how many in a row are equal to the segment one run before
        for index in range(length, len(segments)):
            equal = equal + 1 if segments[index] == segments[index - length] else 0
            if equal == length * (times - 1):
                run = segments[index - length + 1 : index + 1]
                if any(_is_word(segment) for segment in run):
                    return "/".join(run)
    return None


def _is_word(segment: str) -> bool:
    """Whether a segment is more than a number or a dash that stands for a value. An empty one is: `//` grows, too."""
    return not segment.isdigit() and segment not in ("-", "_")


def _of_query(query: str, options: TrapOptions) -> Skip | None:
    count = query.count("&") + 1
    if count > options.max_parameters:
        return Skip("trap_query_too_long", f"{count} parameters in its query: the limit is {options.max_parameters}")
    if count > _MOST_EQUAL_PARAMETERS:
        part, times = Counter(query.split("&")).most_common(1)[0]
        if times > _MOST_EQUAL_PARAMETERS:
            return Skip("trap_repeated_parameters", f"{part[:100]} {times} times in its query")
    return None


def _date(url: str) -> _Date | None:
    """The date in a URL, None if there is none."""
    if not _FOUR_DIGITS.search(url):
        return None
    found = _DATE.search(url)
    if found is None and _CALENDAR.search(url):
        found = _MONTH.search(url)
    if found is not None:
        return _Date(int(found[found.lastindex or 1]), f"{url[: found.start()]}{url[found.end() :]}")
    if _MONTH_PARAMETER.search(url) and (found := _YEAR_PARAMETER.search(url)) is not None:
        return _Date(int(found[1]), _DAY_PARAMETER.sub("", _MONTH_PARAMETER.sub("", _YEAR_PARAMETER.sub("", url))))
    return None


def _generalised(path: str) -> str:
    """Scheme, host and path of a URL with each number and each digest in the path as a zero."""
    start = path.index("/", path.index("//") + 2)
    return path[:start] + _VARYING.sub("0", path[start:])
