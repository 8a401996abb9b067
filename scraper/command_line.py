"""A command line as it may be shown and kept: without the secrets in it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from scraper import urls
from scraper.errors import InvalidURL

_HIDDEN = "…"
# Of what follows an option the part that is no secret, unless all of it is a URL.
_OPEN = {"--header": re.compile(r"[^:]*: *"), "--auth": re.compile(r"[^=]*=[^:]*:"), "--proxy": None}


def shown(words: Sequence[str]) -> str:
    """The words as a shell takes them, without passwords in URLs and the secrets of `--header`, `--auth`, `--proxy`.

    A secret that stands in the environment stays the name that was given for it.

    Args:
        words: the program and its arguments.
    """
    return shlex.join(_shown(words))


def _shown(words: Sequence[str]) -> Iterator[str]:
    secret: str | None = None
    for word in words:
        option, equals, value = word.partition("=")
        if secret is not None:
            yield _without_secret(word, secret)
            secret = None
        elif (name := _secret_option(option)) is None:
            yield _without_credentials(word)
        elif equals:
            yield f"{option}={_without_secret(value, name)}"
        else:
            secret = name
            yield word


def _secret_option(word: str) -> str | None:
    """Argparse takes any beginning of an option for it, as long as it is clear."""
    return next((name for name in _OPEN if len(word) > 2 and name.startswith(word)), None)


def _without_secret(text: str, option: str) -> str:
    pattern = _OPEN[option]
    if pattern is None:
        return text if text.startswith("env:") else _without_credentials(text)
    beginning = pattern.match(text)
    start = beginning[0] if beginning is not None else ""
    return text if text.startswith("env:", len(start)) else start + _HIDDEN


def _without_credentials(word: str) -> str:
    if "@" not in word:
        return word
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    try:
        url = urls.canonical(value)
    except InvalidURL:
        # A URL that is written wrongly may hold a password all the same.
        return f"{_HIDDEN}{word.rpartition('@')[2]}" if "//" in word else word
    clean = urls.without_credentials(url)
    return word if clean == url else option + equals + clean
