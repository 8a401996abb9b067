"""A command is shown without its secrets."""

import shlex

import pytest

from scraper.command_line import shown


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["crawl", "https://example.org/a b", "--quiet"], None),
        (["crawl", "https://example.org/@me", "--urls", "mail@b", "--output=a@b"], None),
        (["crawl", "https://me:s3cret@example.org/"], ["crawl", "https://example.org/"]),
        (["crawl", "http://me:s3@cret@example.org/@"], ["crawl", "http://example.org/@"]),
        (["crawl", "http://m e:s3cret@example.org"], ["crawl", "http://example.org/"]),
        (["crawl", "http:me:s3cret@example.org"], ["crawl", "http://example.org/"]),
        (["crawl", "http:\\\\me:s3cret@example.org"], ["crawl", "http://example.org/"]),
        (["crawl", "http://me:s3cret@exa mple"], ["crawl", "…exa mple"]),
        (["bench", "--url=https://me:s3cret@a.org/?b=c"], ["bench", "--url=https://a.org/?b=c"]),
        (["--header", "X-Key: s3cret"], ["--header", "X-Key: …"]),
        (["--header=Authorization:Bearer s3cret"], ["--header=Authorization:…"]),
        (["--head", "s3cret"], ["--head", "…"]),
        (["--header", "X-Key: env:KEY"], None),
        (["--auth", "https://a.org=me:s3=c:ret"], ["--auth", "https://a.org=me:…"]),
        (["--auth", "https://a.org=me:env:KEY"], None),
        (["--auth", "s3cret"], ["--auth", "…"]),
        (["--proxy", "http://proxy.org:3128"], None),
        (["--proxy", "http://me:s3cret@proxy.org:3128"], ["--proxy", "http://proxy.org:3128/"]),
        (["--proxy=http://me:s3cret@proxy.org"], ["--proxy=http://proxy.org/"]),
        (["--pro", "http://me:s3cret@"], ["--pro", "…"]),
        (["--proxy", "env:PROXY"], None),
        (["--proxy"], None),
    ],
)
def test_what_is_shown(words: list[str], expected: list[str] | None) -> None:
    assert shown(["scraper", *words]) == shlex.join(["scraper", *(words if expected is None else expected)])
