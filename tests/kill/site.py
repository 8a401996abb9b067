"""A site with everything that a crawl meets, and what a crawl of it must find."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from html import escape
from pathlib import Path
from urllib.parse import quote, urlencode

RETRIES = 2
"""How often the crawls try a failed page again; flaky pages fail at most so often."""

_FAN_OUT = 4
_MORE_LINKS = 5


class Kind(StrEnum):
    """How a request must end."""

    PAGE = "page"  # done
    MISSING = "missing"  # failed at once
    BROKEN = "broken"  # failed after all attempts
    OTHER = "other"  # skipped: of a type that no handler wants


@dataclass(frozen=True, slots=True)
class Node:
    """What is at one address.

    Args:
        kind: of what is there, behind redirects.
        chain: the addresses that one attempt asks for, its own first; the last is where redirects end.
        links: addresses that its page links to.
    """

    kind: Kind
    chain: tuple[str, ...]
    links: tuple[str, ...] = ()

    @property
    def end(self) -> str:
        return self.chain[-1]


@dataclass(frozen=True, slots=True)
class Site:
    """A tree of pages with redirects, failures and files among them. The same seed makes the same site.

    Args:
        pages: how many pages the tree has.
        seed: of everything random.
    """

    pages: int
    seed: int
    nodes: Mapping[str, Node] = field(init=False, repr=False)
    """By path and query."""
    _targets: Mapping[int, tuple[str, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rng = random.Random(self.seed)
        special = _special(self.pages, rng)
        targets: dict[int, list[str]] = {page: [] for page in range(self.pages)}
        for page in range(1, self.pages):
            targets[(page - 1) // _FAN_OUT].append(_path(page))
        for page in range(self.pages):
            targets[page] += [_path(rng.randrange(self.pages)) for _ in range(_MORE_LINKS)]
        for path in special:
            if not path.startswith("/hidden/"):  # those are reached through redirects alone
                for _ in range(rng.randint(1, 3)):
                    targets[rng.randrange(self.pages)].append(path)
        for linked in targets.values():
            rng.shuffle(linked)
        pages = {_path(page): Node(Kind.PAGE, (_path(page),), tuple(linked)) for page, linked in targets.items()}
        object.__setattr__(self, "nodes", {**pages, **special})
        object.__setattr__(self, "_targets", {page: tuple(linked) for page, linked in targets.items()})

    def write(self, folder: Path) -> None:
        """Makes the files that a `Corpus` serves."""
        rng = random.Random(self.seed + 1)
        for page, linked in self._targets.items():
            links = "".join(f'<li><a href="{escape(_spelling(path, page, rng))}">{path}</a></li>\n' for path in linked)
            _write(folder, _path(page), f"<ol>\n{links}</ol>\n<p>{'words ' * rng.randint(50, 1000)}</p>\n")
        for path, node in self.nodes.items():
            if path.startswith("/hidden/"):
                _write(folder, path, "<p>found through a redirect</p>\n")
            elif path.startswith("/files/"):
                file = folder / path[1:]
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(node.kind.encode() * 100)

    def at(self, origin: str) -> dict[str, Node]:
        """The site's nodes by their URLs on one host."""
        return {
            origin + path: Node(
                node.kind,
                tuple(origin + hop for hop in node.chain),
                tuple(origin + link for link in node.links),
            )
            for path, node in self.nodes.items()
        }

    def seeds(self, origin: str) -> list[str]:
        """Where a crawl begins, one of them twice in other words."""
        return [origin + _path(0), f"{origin.upper()}/./pages/../pages/0.html#top", origin + _path(self.pages // 2)]


def _path(page: int) -> str:
    return f"/pages/{page}.html" if page % 3 else f"/pages/{page // 10}/{page}.html" if page else "/pages/0.html"


def _special(pages: int, rng: random.Random) -> dict[str, Node]:
    found: dict[str, Node] = {}

    def add(kind: Kind, path: str) -> str:
        found[path] = Node(kind, (path,))
        return path

    def redirect(to: str, number: int, kind: Kind) -> None:
        hops = rng.choice((1, 1, 2))
        first = f"/faults/redirect?hops={hops}&to={quote(to)}&n={number}"
        if hops == 2:
            between = "/faults/redirect?" + urlencode({"hops": 1, "code": 302, "to": to})
            found[first] = Node(kind, (first, between, to))
        else:
            found[first] = Node(kind, (first, to))

    for n in range(max(pages // 20, 2)):
        add(Kind.PAGE, f"/faults/flaky?key=k{n}&fails={1 + n % RETRIES}&code=502")
        add(Kind.MISSING, f"/faults/status?code={rng.choice((404, 410))}&n={n}")
        add(Kind.MISSING, f"/gone/{n}.html")
        add(Kind.BROKEN, f"/faults/status?code=500&n={n}")
        add(Kind.OTHER, f"/files/{n}.{rng.choice(('png', 'zip', 'json'))}")
        hidden = add(Kind.PAGE, f"/hidden/{n}.html")
        for number in range(2):  # two that lead to a page which nobody links to
            redirect(hidden, 10 * n + number, Kind.PAGE)
        for number in range(2, 4):  # two that lead to one which others link to
            redirect(_path(rng.randrange(1, pages)), 10 * n + number, Kind.PAGE)
    redirect("/gone/0.html", 1000, Kind.MISSING)
    redirect(next(path for path in found if path.startswith("/files/")), 1001, Kind.OTHER)
    return found


def _spelling(path: str, page: int, rng: random.Random) -> str:
    """One of the ways in which people write an address."""
    up = "../" * (_path(page).count("/") - 1)
    forms = (
        path,
        f"{path}#part",
        f" {path}\n",
        f"/.{path}",
        f"{up}{path[1:]}",
        f"./{up}{path[1:]}#",
        f"/pages/..{path}",
        path.replace("/", "/\t", 1),
    )
    return rng.choice(forms)


def _write(folder: Path, path: str, content: str) -> None:
    file = folder / path[1:]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"<!DOCTYPE html>\n<html><head><title>{path}</title></head>\n<body>{content}</body></html>\n")
