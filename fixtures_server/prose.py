"""The markup of a synthetic page: a mixture of what real pages are made of, from a vocabulary and a seed.

The blocks are made once a site and are then only put together: a page costs tens of microseconds, not milliseconds.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from fixtures_server.content import number_from

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# ruff: noqa: SIM905 -- words read best as a text

_ADJECTIVES = "amber brass calm coastal copper early folded gentle hollow linen narrow oaken pale quiet".split()
_NOUNS = "anchor basket bench candle compass door ferry garden harbour kettle ladder lamp mill orchard".split()
_WORDS = (
    "a about across after again along among and any are around at away before behind below between both bring "
    "carry choose close cold come cover dark day deep dry each early east even evening every far few field find "
    "first follow from full gather give glass good ground grow half hand heavy here high hold hour house in into "
    "iron it keep kind land large last late leave less light line little long made make many market measure mend "
    "more morning most near never new next night no north not of often old on once one open or other out over own "
    "paper part place plain quick rain ready rest river road roof room round salt same seem set short side slow "
    "small some soon south stand still stone store street such sun take than that the then there these they thin "
    "this three through time to together town tree turn two under until up very wait walk wall warm water way well "
    "west what when where which while white wide wind winter with wood work year yet"
).split()
# Entities, characters beyond ASCII and inline markup: what makes a decoder and a tokenizer work.
_SPICE = (
    "salt &amp; pepper",
    "caf&eacute;",
    "a&nbsp;little",
    "it&#8217;s",
    "5 &lt; 7",
    "na\u00efve",
    "\u2013 so they say \u2013",
    "\u6771\u4eac",
    "<em>slowly</em>",
    "<strong>at once</strong>",
    "<code>n &gt; 1</code>",
    "<br>",
    '<abbr title="et cetera">etc.</abbr>',
)
_LANGUAGES = ("en", "en-GB", "en-IE", "de", "fr")
_BLOCKS = 48  # about 40 KB of distinct text: no two pages look alike, and the whole pool stays in a CPU's cache
_FILLER_OPEN, _FILLER_CLOSE = b'<p class="note">', b"</p>\n"

_STYLE = "<style>body{font:1rem/1.5 serif;margin:0 auto}.card>a{color:#06c}@media print{nav{display:none}}</style>"
_SCRIPT = (
    '<script>/* <a href="/not-a-link"> */(function(w){w.seen=w.seen||[];'
    'if(1<2&&w.seen.length<9){w.seen.push("</"+"p>")}})(window);</script>'
)


class Prose:
    """The blocks that a site's pages are put together from. Equal seeds give equal blocks."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(number_from(seed, "prose"))  # noqa: S311 -- reproducible, not secret
        self._blocks = [_block(rng, number).encode() for number in range(_BLOCKS)]
        self._largest = max(map(len, self._blocks))
        filler = " ".join(_pick(rng, _WORDS) for _ in range(self._largest))
        self._filler = filler.encode()

    def top(self, rng: random.Random, page: int, path: str, hrefs: Sequence[str]) -> bytes:
        """From the doctype to the first paragraph, with these links in the navigation."""
        name = _name(rng)
        navigation = "".join(f'<li><a href="{href}">{_pick(rng, _NOUNS)}</a></li>\n' for href in hrefs)
        return (
            f'<!DOCTYPE html>\n<html lang="{_pick(rng, _LANGUAGES)}">\n<head>\n<meta charset="utf-8">\n'
            f"<title>{name.capitalize()} {page} &ndash; Harbour &amp; Sons</title>\n"
            f'<meta name="description" content="About the {name}, page {page}: prices &amp; notes">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f'<link rel="canonical" href="{path}">\n{_STYLE}\n{_SCRIPT}\n</head>\n'
            f'<body class="page" data-page="{page}">\n'
            f"<!-- navigation: <a>, <b> & -->\n<nav aria-label=main><ul>\n{navigation}</ul></nav>\n"
            f'<main id="main">\n<article itemscope>\n<h1>The {name} <small>no.&nbsp;{page}</small></h1>\n'
        ).encode()

    def middle(self, rng: random.Random, page: int, hrefs: Sequence[str]) -> bytes:
        """The table of prices, and a product card for each of these links."""
        rows = "".join(
            f'<tr><th scope="row">{_name(rng)}</th><td data-cents={cents}>{cents / 100:.2f}&nbsp;\u20ac</td></tr>\n'
            for cents in (100 + int(rng.random() * 9900), 100 + page % 9900)
        )
        cards = "".join(
            f'<div class="card"><a class="product" href="{href}" title="No. {i}">{_name(rng)}</a></div>\n'
            for i, href in enumerate(hrefs)
        )
        table = f'<table class="prices" id="prices">\n<caption>Prices</caption>\n<tbody>\n{rows}</tbody></table>\n'
        return f'{table}<div class="grid">\n{cards}</div>\n'.encode()

    def filling(self, rng: random.Random, size: int) -> Iterator[bytes]:
        """Blocks of `size` bytes together; the last is a paragraph cut to what is left."""
        while size > self._largest:
            block = self._blocks[int(rng.random() * _BLOCKS)]
            size -= len(block)
            yield block
        text_bytes = size - len(_FILLER_OPEN) - len(_FILLER_CLOSE)
        if text_bytes > 0:
            start = int(rng.random() * (len(self._filler) - text_bytes))
            yield _FILLER_OPEN + self._filler[start : start + text_bytes] + _FILLER_CLOSE

    def bottom(self, rng: random.Random, page: int, hrefs: Sequence[str], next_href: str | None) -> bytes:
        """From the related links to the end, with the link to the next page."""
        related = "".join(f'<a href="{href}" rel=related>the {_pick(rng, _ADJECTIVES)} one</a>,\n' for href in hrefs)
        following = f'<a class="next" rel="next" href="{next_href}">Next page</a>\n' if next_href else ""
        return (
            f'</article>\n<p class="related">See also\n{related}and more.</p>\n{following}</main>\n'
            f'<footer><form action="/echo" method="post"><input type=hidden name=page value="{page}">'
            f'<input name="q" placeholder="Search"><button disabled>Go</button></form>'
            f"<p>&copy; Harbour &amp; Sons</footer>\n</body>\n</html>\n"
        ).encode()


def _pick(rng: random.Random, items: Sequence[str]) -> str:
    # random() alone gives the same sequence in every Python version; choice() is not promised to.
    return items[int(rng.random() * len(items))]


def _name(rng: random.Random) -> str:
    return f"{_pick(rng, _ADJECTIVES)} {_pick(rng, _NOUNS)}"


def _sentence(rng: random.Random) -> str:
    words = [_pick(rng, _SPICE if rng.random() < 0.05 else _WORDS) for _ in range(6 + int(rng.random() * 14))]
    return f"{' '.join(words).capitalize()}."


def _block(rng: random.Random, number: int) -> str:
    sentences = [_sentence(rng) for _ in range(6)]
    heading = f"<h2 id=s{number}>{_name(rng).capitalize()}</h2>\n"
    opening = f"<p>{sentences[0]} {sentences[1]}</p>\n"
    form = number % 6
    if form == 0:
        rest = f"<p>{sentences[2]}<p class=lead style='margin:0'>{sentences[3]}\n"
    elif form == 1:
        rest = "<ul class='plain list'>\n" + "".join(f"<li>{s}\n" for s in sentences[2:5]) + "</ul>\n"
    elif form == 2:
        cells = "".join(f"<tr><td>{_name(rng)}</td><td>{s}</td></tr>\n" for s in sentences[2:4])
        rest = f'<table class="facts" summary="facts &amp; notes">\n{cells}</table>\n'
    elif form == 3:
        rest = f"<blockquote cite='/page/1'>{sentences[2]}</blockquote>\n<!-- {sentences[3]} -->\n<hr>\n"
    elif form == 4:
        rest = (
            f"<figure><img src='data:image/gif;base64,R0lGODlhAQABAAAAACw=' alt=\"{_name(rng)}\" width=1 height=1>"
            f"<figcaption>{sentences[2]}</figcaption></figure>\n<dl><dt>{_name(rng)}</dt><dd>{sentences[3]}</dd></dl>\n"
        )
    else:
        rest = f"<div><div class='a b c'><span>{sentences[2]}</span> <b>{_name(rng)}</b></div></div>\n{_SCRIPT}\n"
    return f"<section>\n{heading}{opening}{rest}</section>\n"
