"""Numbers as people read them: a unit, and no more digits than were measured."""

from __future__ import annotations

import math

NOTHING = "\u2013"
_TIMES = "\u00d7"


def count(value: float | None) -> str:
    """1234 as 1,234."""
    return NOTHING if value is None or not math.isfinite(value) else f"{value:,.0f}"


def short(value: float | None) -> str:
    """Three digits or fewer: 12,345, 350, 58.3, 4.71, 0.35."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value == 0:
        return "0"
    decimals = min(max(2 - math.floor(math.log10(abs(value))), 0), 2)
    if abs(value) < 0.1:
        decimals = min(1 - math.floor(math.log10(abs(value))), 6)
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def rate(pages_per_s: float | None) -> str:
    return f"{short(pages_per_s)} pages/s"


def milliseconds(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return NOTHING
    if abs(value) < 0.005:  # less than any clock here tells apart
        return "0 ms"
    return f"{short(value)} ms" if abs(value) < 1000 else f"{short(value / 1000)} s"


def seconds(value: float | None) -> str:
    """850 ms, 12.4 s, 3 min 20 s, 2 h 5 min."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if abs(value) < 1:
        return f"{short(value * 1000)} ms" if value else "0 s"
    if value < 120:
        return f"{short(value)} s"
    minutes, rest_s = divmod(round(value), 60)
    if minutes < 120:
        return f"{minutes} min {rest_s} s" if rest_s else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def clock(value_s: float) -> str:
    """For an axis of time: 0, 0.5 s, 90 s, 5 min."""
    if not value_s:
        return "0"
    return f"{short(value_s)} s" if value_s < 120 else seconds(value_s)


def size(value: float | None) -> str:
    """Bytes in decimal units."""
    if value is None or not math.isfinite(value):
        return NOTHING
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{short(value)} {unit}"
        value /= 1000
    return f"{short(value)} TB"


def ratio(value: float | None) -> str:
    """1.58 and 12, with the sign for times in front."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{_TIMES}{value:.2f}" if value < 10 else f"{_TIMES}{value:,.0f}"


def share(part: float, whole: float) -> str:
    """62%; <1% where something rounds to nothing."""
    if not whole:
        return NOTHING
    percent = 100 * part / whole
    return "<1%" if 0 < percent < 0.5 else f"{percent:.0f}%"


def plural(number: float, one: str, many: str | None = None) -> str:
    """1 page, 2 pages."""
    return f"{count(number)} {one if number == 1 else many or f'{one}s'}"
