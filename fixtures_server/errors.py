"""What the fixture server raises.

FixtureServerError      the server did not start, or stopped answering
└── OptionsRefused      an option is out of its range (also a ValueError)
"""

from __future__ import annotations


class FixtureServerError(Exception):
    """The server did not start, or does not answer any more; the message says why."""


class OptionsRefused(FixtureServerError, ValueError):
    """An option is out of its range; the message names the option and what it may be."""
