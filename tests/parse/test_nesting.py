from __future__ import annotations

import pytest

from scraper.parse.nesting import MAX_DEPTH, is_too_deep


@pytest.mark.parametrize("name", ["div", "b", "x-y", "svg", "DIV"])
def test_a_page_made_of_nesting_is_noticed(name: str) -> None:
    start, end = f"<{name}>".encode(), f"</{name}>".encode()
    assert is_too_deep(start * (MAX_DEPTH + 1) + end * (MAX_DEPTH + 1))
    assert is_too_deep(b"<p>x</p>" * 5000 + start * 20_000)
    assert not is_too_deep(start * MAX_DEPTH + end * MAX_DEPTH)


@pytest.mark.parametrize(
    "flat",
    [
        b"<br>",
        b"<a href=x>",
        b"<p>x",
        b"<li>x",
        b"<tr><td>x",
        b"<dt>x<dd>y",
        b"<option>x",
        b"<div></div>",
        b"<b><i>x</b></i>",
        b"<img src=x>",
        b"<div><p>x</div>",
    ],
)
def test_many_elements_side_by_side_are_not_nesting(flat: bytes) -> None:
    assert not is_too_deep(flat * 20_000)


def test_end_tags_that_close_nothing_do_not_hide_depth() -> None:
    assert is_too_deep(b"<div></x><b>" * 3000)


def test_it_takes_no_long_time() -> None:
    assert not is_too_deep((b"<i>" * 2000 + b"</nothing>" * 2000 + b"</i>" * 2000) * 50)
