"""What a source of pages gives the server: paths, and a resource for each of them."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fixtures_server.options import Distribution

HTML = "text/html; charset=utf-8"

# The spread of the logarithm of lognormal latencies. At 0.6 the median is 0.84 of the mean and one page in a hundred
# takes more than 3.3 times the mean: a tail that a crawler notices, and that still lets a short benchmark settle.
_LOGNORMAL_SIGMA = 0.6


@dataclass(frozen=True, slots=True)
class Resource:
    """The answer at one path.

    body: as it is without a content encoding
    gzipped: the same, as it is stored on disk, where it is stored so
    location: where a redirect leads to
    """

    body: bytes = b""
    content_type: str = HTML
    status: int = 200
    location: str | None = None
    gzipped: bytes | None = None


class Content(Protocol):
    """A source of pages. Both are pure: they do no networking, and give the same answer each time."""

    def paths(self) -> Sequence[str]:
        """The path of every page, as it stands in a URL; the first is `/`."""

    def resource(self, path: str) -> Resource | None:
        """What is at a path (without query, percent-decoded), or None."""


def number_from(*parts: object) -> int:
    """A 64-bit number that depends on the parts alone: the same in every process and Python version."""
    digest = hashlib.blake2b(":".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def latency_s(mean_s: float, distribution: Distribution, seed: int, path: str) -> float:
    """The wait before the page at a path is answered, drawn from the distribution by its path."""
    if mean_s == 0 or distribution == "constant":
        return mean_s
    # Box-Muller: two uniform numbers to a normal one. `random` promises its sequence for random() alone.
    uniform = (number_from(seed, "radius", path) + 1) / 2**64
    angle = number_from(seed, "angle", path) / 2**64
    normal = math.sqrt(-2 * math.log(uniform)) * math.cos(2 * math.pi * angle)
    return mean_s * math.exp(_LOGNORMAL_SIGMA * normal - _LOGNORMAL_SIGMA**2 / 2)
