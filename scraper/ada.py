"""The WHATWG URL parser ada through ctypes, with what `scraper.urls` uses of can_ada, for where that does not load.

ctypes loads everywhere; can_ada and ada_url's own binding refuse to load in a sub-interpreter. The library is the one
that ada_url brings along, called by ada's C interface. A join takes 2.6 µs beside can_ada's 1.2.
"""

from __future__ import annotations

import ctypes
import importlib.util
from importlib.machinery import PathFinder


class _Text(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _load() -> ctypes.CDLL:
    package = importlib.util.find_spec("ada_url")
    where = package.submodule_search_locations if package is not None else None
    spec = PathFinder.find_spec("ada_url._ada_wrapper", where)
    if spec is None or spec.origin is None:
        raise ImportError("ada_url is not installed")
    library = ctypes.CDLL(spec.origin)
    text = (ctypes.c_char_p, ctypes.c_size_t)
    library.ada_parse.argtypes = text
    library.ada_parse.restype = ctypes.c_void_p
    library.ada_parse_with_base.argtypes = (*text, *text)
    library.ada_parse_with_base.restype = ctypes.c_void_p
    library.ada_is_valid.argtypes = (ctypes.c_void_p,)
    library.ada_is_valid.restype = ctypes.c_bool
    library.ada_get_href.argtypes = (ctypes.c_void_p,)
    library.ada_get_href.restype = _Text
    library.ada_free.argtypes = (ctypes.c_void_p,)
    library.ada_free.restype = None
    return library


_ada = _load()


class URL:
    """An absolute URL as the standard serialises it; adding a reference joins it."""

    __slots__ = ("href",)

    def __init__(self, href: str) -> None:
        self.href = href

    def __add__(self, reference: str) -> URL:
        base, text = _encoded(self.href), _encoded(reference)
        return _taken(_ada.ada_parse_with_base(text, len(text), base, len(base)), reference)


def parse(text: str) -> URL:
    """The URL that an absolute one stands for.

    Raises:
        ValueError: it stands for none.
        TypeError: it has lone surrogates.
    """
    encoded = _encoded(text)
    return _taken(_ada.ada_parse(encoded, len(encoded)), text)


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise TypeError(str(error)) from None


def _taken(parsed: int, text: str) -> URL:
    """What a call gave, which has to be freed."""
    try:
        if not _ada.ada_is_valid(parsed):
            raise ValueError(f"{text!r} is no URL")
        href = _ada.ada_get_href(parsed)
        return URL(ctypes.string_at(href.data, href.length).decode())
    finally:
        _ada.ada_free(parsed)
