"""Whether a page asks that its links are not followed: by an X-Robots-Tag header, or by a `<meta name="robots">`.

No standard says what such directives mean; this reads them as Google documents it
(https://developers.google.com/search/docs/crawling-indexing/robots-meta-tag): names and directives compare without
case, `none` means `noindex, nofollow`, what is addressed to all and what is addressed to this crawler count together,
and the most restrictive wins. What is unknown says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

_DIRECTIVES = frozenset({"nofollow", "none"})
_EVERYBODY = "robots"

# Directives with a value, which stands behind a colon as directives stand behind the name of a crawler.
_WITH_VALUE = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})


def names_of(product_token: str) -> tuple[str, ...]:
    """The names of meta elements that speak to a crawler, in lower case."""
    return (_EVERYBODY, product_token.lower()) if product_token else (_EVERYBODY,)


def header_says(values: Iterable[str], product_token: str) -> bool:
    """Whether one of a response's X-Robots-Tag fields asks this crawler not to follow the page's links.

    Args:
        values: of the fields, such as "noindex, nofollow" or "examplebot: none".
        product_token: the crawler's name; empty if it has none.
    """
    return any(_field_says(value.lower(), product_token.lower()) for value in values)


def _field_says(value: str, name: str) -> bool:
    is_meant = True
    for part in value.split(","):
        addressee, colon, directive = (each.strip() for each in part.partition(":"))
        if not colon:
            directive = addressee
        elif addressee in _WITH_VALUE or " " in addressee:  # a date may have a comma in it, and colons behind that
            continue
        else:
            is_meant = addressee == name
        if is_meant and directive in _DIRECTIVES:
            return True
    return False


def content_says(content: str) -> bool:
    """Whether the content of a meta element has such a directive."""
    return any(part.strip() in _DIRECTIVES for part in content.lower().split(","))


def may_say(markup: bytes, names: Iterable[str]) -> bool:
    """Whether a meta element of one of these names may say so, told from bytes: a page without is not parsed for it."""
    lowered = markup.lower()
    return any(each.encode() in lowered for each in _DIRECTIVES) and any(each.encode() in lowered for each in names)
