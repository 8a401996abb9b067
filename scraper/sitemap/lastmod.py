"""The moments that sitemaps and feeds name: W3C's profile of ISO 8601, and RFC 822 with four-digit years."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple

_MONTH_OR_YEAR = re.compile(r"([0-9]{4})(?:-([0-9]{2}))?")
_DAY_CHARS = len("2024-05-01")
_MOMENT, _DAY, _MONTH, _YEAR = timedelta(), timedelta(days=1), timedelta(days=31), timedelta(days=366)

# How much later than in UTC a time comes in the zone that is the last.
_WEST = timedelta(hours=12)


class Period(NamedTuple):
    """What a date stands for, both ends aware: a moment, a day, a month or a year.

    Args:
        start: its first moment, in UTC where no zone is named.
        end: its last, in whatever zone; for months and years up to a few days later.
    """

    start: datetime
    end: datetime


def period(text: str) -> Period | None:
    """What a text names as the time of a change, None if it cannot be told."""
    text = text.strip()
    try:
        start = datetime.fromisoformat(text)
    except ValueError:
        return _month_or_year(text) or _mail_date(text)
    return _from(start, _DAY if len(text) <= _DAY_CHARS else _MOMENT)


def _month_or_year(text: str) -> Period | None:
    match = _MONTH_OR_YEAR.fullmatch(text)
    if match is None:
        return None
    try:
        start = datetime(int(match[1]), int(match[2] or 1), 1, tzinfo=UTC)
    except ValueError:
        return None
    return _from(start, (_MONTH if match[2] else _YEAR) + _WEST)


def _mail_date(text: str) -> Period | None:
    try:
        return _from(parsedate_to_datetime(text))
    except (ValueError, OverflowError):
        return None


def _from(start: datetime, length: timedelta = _MOMENT) -> Period:
    if start.tzinfo is None:
        start = start.replace(tzinfo=UTC)
        length += _WEST
    if not length:
        return Period(start, start)
    try:
        return Period(start, start + length)
    except OverflowError:  # the last day of the year 9999
        return Period(start, start)
