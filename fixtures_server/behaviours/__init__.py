"""Named behaviours: what a server may do to a crawler, each at `/faults/<name>`.

A behaviour is a coroutine function that takes an exchange. Its name is the function's, with dashes; the first line of
its docstring says what it does, the rest what a client must do with it and why. Its cases are the links to it: one for
each way of asking that is worth a test, with how it must end. To add one, write the function and name it in its
module's group.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from fixtures_server.behaviours import (
    answers,
    bodies,
    cookies,
    encodings,
    framing,
    pacing,
    redirects,
    robots,
    sitemaps,
    texts,
    traps,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fixtures_server.behaviours.behaviour import Behaviour

# Silent answers are in several of them, with others between: many in a row would look like a host that is down.
GROUPS = (
    answers.GROUP,
    encodings.GROUP,
    framing.GROUP,
    redirects.GROUP,
    redirects.ADDRESSES,
    cookies.GROUP,
    pacing.GROUP,
    sitemaps.GROUP,
    bodies.GROUP,
    texts.GROUP,
    robots.GROUP,
    traps.GROUP,
)

BEHAVIOURS: Mapping[str, Behaviour] = MappingProxyType(
    {behaviour.name: behaviour for group in GROUPS for behaviour in group.behaviours}
)
