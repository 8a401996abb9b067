"""The words for how a request ends at a client that does well with it.

    done              the answer is a page, and is handed on
    failed:REASON     the attempt failed for this reason; nothing of the answer is handed on
    skipped:REASON    nothing failed, and the request was not carried through; nothing is handed on

They are this package's own and nobody's API: a client with other words maps them to its own.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "done": "A page, which is handed on.",
        "failed:bad_encoding": "What is compressed is not what its header says.",
        "failed:bad_framing": "No valid HTTP.",
        "failed:bad_redirect": "A redirect to no URL, or without one.",
        "failed:body_too_large": (
            "More than the client's cap on a body, as it comes or unpacked. A cap of 10 MB is assumed; under a higher "
            "one the page is done, in bounded memory."
        ),
        "failed:connection_reset": "The connection was torn down.",
        "failed:disconnected": "The connection was closed before an answer.",
        "failed:dns": "The host has no address.",
        "failed:header_too_large": "More header fields, or larger ones, than a client should take.",
        "failed:http_NNN": "Any status that is no success.",
        "failed:nesting_too_deep": "Nested deeper than the parser can go.",
        "failed:parse_timeout": "Its parser ran past its deadline.",
        "failed:private_address": "The address is not public, and the user has not named it.",
        "failed:redirect_loop": "A redirect to where the request has been.",
        "failed:redirect_scheme": "A redirect out of http and https.",
        "failed:timeout": "The whole attempt took longer than it may.",
        "failed:too_many_redirects": "More redirects than are followed.",
        "failed:truncated_body": "The connection was closed in the middle of the body.",
        "failed:truncated_encoding": "What is compressed ends in its middle, though the body was complete.",
        "failed:unknown_encoding": "Compressed in a way that the client cannot undo.",
        "skipped:content_type": "Neither HTML nor XML, and nobody asked for it.",
        "skipped:out_of_scope": "Leads out of what the user wants crawled.",
    }
)


def meaning(end: str) -> str:
    """What an end means. Raises KeyError for one that is none."""
    is_status = end.startswith("failed:http_") and end.removeprefix("failed:http_").isdecimal()
    return MEANINGS["failed:http_NNN" if is_status else end]
