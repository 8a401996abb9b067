"""How a step of an attempt says that the attempt is over."""

from __future__ import annotations


class Refused(Exception):
    """An answer, or a request, that cannot be used. It becomes a `Failure` and leaves this package as one.

    Args:
        reason: a word of the table in `scraper.fetch.failures`.
        detail: a sentence for the person who reads the failures.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
