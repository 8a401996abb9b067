"""The answer to one exchange, from the network or from the cache."""

from __future__ import annotations

from typing import NamedTuple

Pairs = tuple[tuple[str, str], ...]


class Answer(NamedTuple):
    """What one hop answered.

    Args:
        status: HTTP status.
        phrase: the reason phrase beside it.
        headers: in the order they came.
        location: the header of this name, with bytes that are no UTF-8 as surrogates.
        body: unpacked; None if nobody read it.
        wire_bytes: body bytes as they came over the network.
        latency_s: from the request to the end of its header; None if the network was not asked.
    """

    status: int
    phrase: str
    headers: Pairs
    location: str | None
    body: bytes | None
    wire_bytes: int = 0
    latency_s: float | None = None
