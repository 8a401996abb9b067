"""Joining links: how fast and how right the URL libraries are.

    python -m benchmarks.urljoin --rounds 5

The hrefs are those of the link-heavy site, page by page, against the page's own address: all of them, as a crawler
does that joins each as it comes, and the distinct ones without their fragments, as this project does. Correctness is
the share of the web platform's URL test cases (web-platform-tests, url/) that come out as the URL Standard says, where
that file is at hand.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urldefrag, urljoin, urlsplit

import ada_url
import can_ada
import yarl

from benchmarks.sites import hrefs_of, prepare

if TYPE_CHECKING:
    from collections.abc import Callable

    Join = Callable[[str, list[str]], list[str]]  # base, references: the absolute URLs

CASES = Path(__file__).resolve().parents[2] / "shared" / "data" / "urls" / "urltestdata.json"


def join_with_can_ada(base: str, references: list[str]) -> list[str]:
    parsed = can_ada.parse(base)
    return [(parsed + reference).href for reference in references]


def join_with_ada_url(base: str, references: list[str]) -> list[str]:
    return [ada_url.join_url(base, reference) for reference in references]


def join_with_yarl(base: str, references: list[str]) -> list[str]:
    parsed = yarl.URL(base)
    return [str(parsed.join(yarl.URL(reference))) for reference in references]


def join_with_urllib(base: str, references: list[str]) -> list[str]:
    return [urljoin(base, reference) for reference in references]


def join_with_urllib_and_defrag(base: str, references: list[str]) -> list[str]:
    return [urldefrag(urljoin(base, reference)).url for reference in references]


LIBRARIES: dict[str, Join] = {
    "can_ada": join_with_can_ada,
    "ada_url": join_with_ada_url,
    "yarl": join_with_yarl,
    "urllib": join_with_urllib,
    "urllib + urldefrag": join_with_urllib_and_defrag,
}


def correctness(join: Join, cases: list[dict[str, str]]) -> tuple[int, int]:
    """How many cases come out right, and of how many: http and https results, and what must be refused."""
    right = total = 0
    for case in cases:
        wanted = None if case.get("failure") else case["href"]
        if wanted is not None and not wanted.startswith(("http:", "https:")):
            continue
        total += 1
        # A case without a base is an absolute URL, and joined to itself it is read as one.
        right += answer(join, case.get("base") or case["input"], case["input"]) == wanted
    return right, total


def answer(join: Join, base: str, reference: str) -> str | None:
    """What a library makes of a reference; None if it refuses it, or if what it gives is no absolute URL."""
    try:
        found = join(base, [reference])[0]
        return found if urlsplit(found).scheme else None
    except (ValueError, TypeError):
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description="Joining links: how fast and how right the URL libraries are.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pages", type=int, default=300)
    options = parser.parse_args()
    site = prepare("heavy")
    pages = list(zip(site.urls("http://127.0.0.1:8000"), map(hrefs_of, site.bodies()), strict=True))[: options.pages]
    hrefs = sum(len(of) for _url, of in pages)
    distinct = [(url, list(dict.fromkeys(href.partition("#")[0] for href in of))) for url, of in pages]
    spent: dict[tuple[str, str], list[float]] = {}
    order = random.Random(1)  # noqa: S311 - an order to be repeated, no secret
    for _ in range(options.rounds):
        for name in order.sample(list(LIBRARIES), len(LIBRARIES)):
            for kind, work in (("all", pages), ("distinct", distinct)):
                before = time.process_time()
                for url, of in work:
                    LIBRARIES[name](url, of)
                spent.setdefault((name, kind), []).append(time.process_time() - before)
    cases = [case for case in json.loads(CASES.read_text()) if isinstance(case, dict)] if CASES.exists() else []
    print(
        f"{hrefs:,} hrefs of {len(pages)} pages, {sum(len(of) for _url, of in distinct):,} distinct within their page"
    )
    print(f"{'':20}{'µs a href':>12}{'ms a page':>12}{'distinct':>12}   URL Standard")
    for name, join in LIBRARIES.items():
        every, few = (statistics.median(spent[name, kind]) for kind in ("all", "distinct"))
        right, total = correctness(join, cases)
        said = f"{right} of {total}" if cases else f"no {CASES.name}"
        figures = f"{every / hrefs * 1e6:12.2f}{every / len(pages) * 1e3:12.3f}{few / len(pages) * 1e3:12.3f}"
        print(f"{name:20}{figures}   {said}")


if __name__ == "__main__":
    main()
