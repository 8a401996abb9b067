"""The crawler says who it is, and whom a site can turn to."""

import pytest

from scraper.errors import InvalidOption
from scraper.options import FetchOptions
from tests.fetch.attempt import attempt
from tests.fetch.peer import Peer, Step, answer

NAME = b"scraper/0.1 (Python asyncio crawler)"


@pytest.mark.parametrize(
    ("contact", "user_agent", "sender"),
    [
        (None, NAME, None),
        (
            "https://example.org/bot?a=1#b",
            NAME + b" (+https://example.org/bot?a=1#b)",
            None,
        ),
        ("bot@example.org", NAME + b" (+bot@example.org)", b"bot@example.org"),
    ],
)
async def test_a_request_says_who_asks(contact: str | None, user_agent: bytes, sender: bytes | None) -> None:
    async with Peer((Step.ASKED, answer(b"<p>"))) as peer:
        await attempt(peer.url, contact=contact)
    lines = peer.requests[0].split(b"\r\n")
    assert b"User-Agent: " + user_agent in lines
    assert [line for line in lines if line.startswith(b"From:")] == ([] if sender is None else [b"From: " + sender])


async def test_a_name_of_ones_own_has_the_contact_behind_it() -> None:
    async with Peer((Step.ASKED, answer(b"<p>"))) as peer:
        await attempt(peer.url, user_agent="shopbot/2", contact="https://example.org/bot")
    assert b"\r\nUser-Agent: shopbot/2 (+https://example.org/bot)\r\n" in peer.requests[0]


@pytest.mark.parametrize(
    "contact",
    [
        "",
        "me",
        "example.org/bot",
        "ftp://example.org",
        "https://",
        "https://example.org/a b",
        "https://example.org/(a)",
        "https://me:s3cret@example.org/",
        "https://example.org/\r\nHost: evil",
        "https://example.org/" + "x" * 300,
        "me@localhost",
        "me@@example.org",
        "Me <me@example.org>",
        "me@example.org\n",
        "mé@example.org",
    ],
)
def test_what_is_no_contact(contact: str) -> None:
    with pytest.raises(InvalidOption, match="contact must be") as caught:
        FetchOptions(contact=contact)
    assert "s3cret" not in str(caught.value)
