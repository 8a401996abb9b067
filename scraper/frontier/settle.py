"""What frontiers agree on about how a lease ends."""

from __future__ import annotations

from scraper.model import Failure, Outcome, Skip, State


def is_elsewhere(outcome: Outcome) -> bool:
    """Whether a page was reached behind a redirect, by a request that its URL identifies."""
    request = outcome.lease.request
    return outcome.final_url not in (None, request.url) and request.method == "GET" and request.dedup_key is None


def is_put_off(outcome: Outcome) -> bool:
    """Whether a request comes again without having used up an attempt."""
    return isinstance(outcome.end, Failure) and not outcome.end.is_attempt


def duplicate(outcome: Outcome) -> Outcome:
    """The outcome of a page that another request has."""
    skip = Skip("duplicate_redirect", f"led to {outcome.final_url}, which another request has")
    return outcome._replace(state=State.SKIPPED, end=skip, items=(), links=(), requests=())
