"""What a behaviour is: a handler with a name, words about it, and links with what must come of them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from fixtures_server.reply import small_page

if TYPE_CHECKING:
    from fixtures_server.exchange import Exchange, Handler


@dataclass(frozen=True, slots=True)
class Case:
    """One way of asking that is worth a link, and how it must end at a client that does well.

    query: the query of its URL; empty for none
    ends: what is right, the best first: `done`, `failed:REASON` or `skipped:REASON`, with a reason of
        `fixtures_server.behaviours.ends`
    is_apart: a client that does what it is asked to leaves the whole host alone for long, so that the index page
        names the address and does not link to it
    """

    query: str = ""
    ends: tuple[str, ...] = ("done",)
    is_apart: bool = False


def case(*ends: str, **parameters: str | float) -> Case:
    """A case by its ends (`done` if none is named) and its parameters."""
    return Case(urlencode(parameters, safe="/:,"), ends or ("done",))


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A handler that is asked for by name.

    cases: the links to it
    has_paths: answers for every path below its own, too
    """

    run: Handler
    cases: tuple[Case, ...] = (Case(),)
    has_paths: bool = False

    @property
    def name(self) -> str:
        """The name in the URL: the handler's, with dashes."""
        return self.run.__name__.replace("_", "-")

    @property
    def summary(self) -> str:
        """What it does: the first line of the handler's docstring."""
        return (inspect.getdoc(self.run) or "").partition("\n")[0]

    @property
    def advice(self) -> str:
        """What a client must do with it, and why: the rest of the docstring."""
        return " ".join((inspect.getdoc(self.run) or "").partition("\n")[2].split())

    def path(self, query: str) -> str:
        """The address of a case below the place where all behaviours are."""
        return f"{self.name}?{query}" if query else self.name


@dataclass(frozen=True, slots=True)
class Group:
    """Behaviours that belong together.

    name: one word, for its place on the index page and in the listing
    about: what they have in common, and what a client must do with all of them
    """

    name: str
    title: str
    about: str
    behaviours: tuple[Behaviour, ...]


def page(exchange: Exchange, content: str = "<p>A small page.</p>\n") -> str:
    """A small page whose title is the behaviour's name, by which a test knows that it came through whole."""
    return small_page(exchange.request.path.rpartition("/")[2], content)
