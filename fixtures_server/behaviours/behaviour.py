"""What a behaviour is: a handler with a name, a line about it, and examples."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fixtures_server.reply import small_page

if TYPE_CHECKING:
    from fixtures_server.exchange import Exchange, Handler


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A handler that is asked for by name.

    examples: queries that the index page links to; empty means none is needed
    """

    run: Handler
    examples: tuple[str, ...] = ("",)

    @property
    def name(self) -> str:
        """The name in the URL: the handler's, with dashes."""
        return self.run.__name__.replace("_", "-")

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return (inspect.getdoc(self.run) or "").partition("\n")[0]


def page(exchange: Exchange, content: str = "<p>A small page.</p>\n") -> str:
    """A small page whose title is the behaviour's name, by which a test knows that it came through whole."""
    return small_page(exchange.request.path.rpartition("/")[2], content)
