"""An asyncio crawler that knows where its time goes, and parses where parsing is fastest.

What is named here is public; everything else may change. Names are imported when first used, so that a worker
process which needs only a parser does not load the network stack.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scraper.errors import HandlerNotImportable as HandlerNotImportable
    from scraper.model import Failure as Failure
    from scraper.model import Links as Links
    from scraper.model import Request as Request

__version__ = "0.1.0"

_HOME = {
    "HandlerNotImportable": "scraper.errors",
    "Failure": "scraper.model",
    "Links": "scraper.model",
    "Request": "scraper.model",
}

__all__ = ["Failure", "HandlerNotImportable", "Links", "Request", "__version__"]


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
