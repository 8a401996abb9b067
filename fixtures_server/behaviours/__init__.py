"""Named behaviours: what a server may do to a crawler, each at `/faults/<name>`.

A behaviour is a coroutine function that takes an exchange. Its name is the function's, with dashes; the first line of
its docstring is the line on the index page. `examples` are the queries of the links there: one for each way of asking
that is worth a test. To add one, write the function and name it in its module's table.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from fixtures_server.behaviours import answers, bodies, encodings, framing, pacing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fixtures_server.behaviours.behaviour import Behaviour

BEHAVIOURS: Mapping[str, Behaviour] = MappingProxyType(
    {
        behaviour.name: behaviour
        for module in (answers, pacing, framing, encodings, bodies)
        for behaviour in module.BEHAVIOURS
    }
)
