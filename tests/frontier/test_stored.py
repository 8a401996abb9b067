"""A request comes back from the file as it went in."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scraper.errors import UsageError
from scraper.frontier.stored import more_of, request_of
from scraper.model import Request

URL = "http://site.test/page"

texts = st.text(max_size=8) | st.sampled_from(["GET", "", "null", "\x00", "\ud800"])
plain_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "handler": st.sampled_from(["shop:parse", "GET:GET"]),
    "method": st.sampled_from(["GET", "POST", "PUT"]),
    "headers": st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
    "body": st.binary(max_size=20),
    "data": plain_data,
    "priority": st.integers(-(2**40), 2**40),
    "dedup_key": texts,
    "accept": st.lists(texts, max_size=2),
}
requests = st.fixed_dictionaries({}, optional=FIELDS).map(lambda fields: Request(URL, **fields))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(request=requests)
def test_every_field_comes_back(request: Request) -> None:
    found = request_of(URL, request.priority, more_of(request))
    assert found == request
    assert repr(found) == repr(request)  # 1, 1.0 and True are equal, and not the same


@pytest.mark.parametrize("data", [[], {}, "", 0, False, "GET"])
def test_data_that_looks_like_nothing_is_data(data: object) -> None:
    found = request_of(URL, 0, more_of(Request(URL, data=data)))
    assert repr(found.data) == repr(data)


def test_a_dedup_key_may_be_any_text() -> None:
    assert request_of(URL, 0, more_of(Request(URL, dedup_key="GET"))).dedup_key == "GET"


def test_a_plain_request_is_its_url_alone() -> None:
    assert more_of(Request(URL)) is None
    assert request_of(URL, 0, None).is_plain


def test_a_priority_needs_nothing_more() -> None:
    request = Request(URL, priority=3)
    assert more_of(request) is None
    assert request_of(URL, 3, None) == request


@pytest.mark.parametrize("data", [{1, 2}, b"bytes", object(), {("a", "b"): 1}])
def test_data_without_a_json_form_is_refused(data: object) -> None:
    request = Request("http://user:secret@site.test/page", data=data)
    with pytest.raises(UsageError, match=r"request for http://site\.test/page cannot be stored as JSON") as refused:
        more_of(request)
    assert "secret" not in str(refused.value)


def test_data_that_holds_itself_is_refused() -> None:
    data: list[object] = []
    data.append(data)
    with pytest.raises(UsageError, match="cannot be stored as JSON"):
        more_of(Request(URL, data=data))


def test_data_that_is_nested_without_end_is_refused() -> None:
    data: list[object] = []
    for _ in range(100_000):
        data = [data]
    with pytest.raises(UsageError, match="cannot be stored as JSON"):
        more_of(Request(URL, data=data))
