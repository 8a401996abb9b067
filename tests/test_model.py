"""Values and errors: frozen, picklable, and strict where they are made."""

import dataclasses
import inspect
import pickle

import pytest

import scraper.errors
from scraper import errors, model
from scraper.errors import HandlerNotImportable, InvalidOption
from scraper.metrics import LagStatistics, Snapshot, StageStatistics, Strategy, Verdict
from scraper.model import (
    CacheCounts,
    Delivery,
    Extraction,
    Failure,
    Headers,
    Lease,
    Links,
    Outcome,
    Request,
    Response,
    Skip,
    Stage,
    State,
)
from scraper.options import FetchOptions, LimitOptions, OffloadOptions, PaceOptions, Resolve

REQUEST = Request(
    "http://a.test/",
    handler="m:parse",
    method="post",
    headers={"X": "1"},
    body=b"b",
    data={"k": [1]},
    priority=3,
    dedup_key="key",
    accept="image/*",
)
LEASE = Lease(REQUEST, "key", 2, 1)
FAILURE = Failure(Stage.FETCH, "http_503", "said so", retryable=True, retry_after_s=2.0)
VALUES = [
    REQUEST,
    LEASE,
    FAILURE,
    Headers((("A", "1"), ("a", "2"))),
    Links(("http://a.test/",)),
    Response("http://a.test/", 200, (("A", "1"),), b"body", 4, 0.1),
    Skip("content_type", "image/png"),
    Extraction(({"a": 1},), ("http://a.test/",), (REQUEST,), (("invalid_url", 2),)),
    Outcome(LEASE, State.FAILED, FAILURE, "http://a.test/"),
    Delivery((("items.jsonl", "{}"),)),
    CacheCounts(1, 2, 3, "the disk is full"),
    FetchOptions(headers={"A": "b"}),
    PaceOptions(),
    LimitOptions(),
    OffloadOptions(),
    Resolve(host="a.test", port=80, address="127.0.0.1"),
    Snapshot(1.0, 1, 1, 0, 0, 0, 0, 1, 10, 1.0, 0.1),
    StageStatistics(1, 1.0, 1.0, 1.0, 1.0),
    LagStatistics(1.0, 2.0, 3.0),
    Strategy("m:f", "lxml", "thread", 2, 10, "because"),
    Verdict("gil", "evidence", "advice", 1.5),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_every_value_survives_pickling(value: object) -> None:
    assert pickle.loads(pickle.dumps(value)) == value


def test_no_value_of_the_model_was_forgotten_above() -> None:
    defined = {
        cls
        for _, cls in inspect.getmembers(model, inspect.isclass)
        if cls.__module__ == "scraper.model" and cls not in {Stage, State} and not cls.__name__.startswith("_")
    }
    assert defined <= {type(value) for value in VALUES}


@pytest.mark.parametrize("value", [v for v in VALUES if not isinstance(v, Headers)], ids=lambda v: type(v).__name__)
def test_values_cannot_be_changed(value: object) -> None:
    with pytest.raises(AttributeError):  # of which dataclasses.FrozenInstanceError is one
        setattr(value, names_of(value)[0], None)


def names_of(value: object) -> list[str]:
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    return list(getattr(value, "_fields", ["pairs"]))


ERRORS = [cls for _, cls in inspect.getmembers(scraper.errors, inspect.isclass)]


@pytest.mark.parametrize("cls", ERRORS)
def test_every_error_survives_pickling_and_has_the_root(cls: type[Exception]) -> None:
    """An exception that does not unpickle breaks the pool that it travels through."""
    error = pickle.loads(pickle.dumps(cls("what was wrong")))
    assert type(error) is cls
    assert str(error) == "what was wrong"
    assert isinstance(error, errors.ScraperError)


@pytest.mark.parametrize("cls", ERRORS)
def test_every_error_is_drawn_in_the_tree(cls: type[Exception]) -> None:
    assert cls.__name__ in (errors.__doc__ or "")


def test_a_request_goes_to_a_tuple_and_back() -> None:
    assert Request.from_tuple(REQUEST.to_tuple()) == REQUEST


def test_a_request_is_plain_when_its_url_says_everything() -> None:
    assert Request("http://a.test/").is_plain
    assert not REQUEST.is_plain


def test_a_request_refuses_a_handler_without_a_name() -> None:
    with pytest.raises(HandlerNotImportable, match="lambda"):
        Request("http://a.test/", handler=lambda page: None)


def test_headers_compare_without_case_and_keep_what_is_repeated() -> None:
    headers = Headers((("Set-Cookie", "a"), ("set-cookie", "b")))
    assert headers["SET-COOKIE"] == "a"
    assert headers.all("Set-Cookie") == ["a", "b"]
    assert headers.get("missing") is None


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        (FetchOptions, "timeout_s", -1),
        (FetchOptions, "timeout_s", float("nan")),
        (FetchOptions, "max_body_bytes", 0),
        (PaceOptions, "concurrency", 0),
        (PaceOptions, "retries", -1),
        (LimitOptions, "max_pages", 0),
        (LimitOptions, "max_depth", -1),
        (LimitOptions, "max_time_s", 0),
        (LimitOptions, "scope", "planet"),
        (OffloadOptions, "executor", "gpu"),
        (OffloadOptions, "workers", 0),
    ],
)
def test_an_option_out_of_range_is_refused_where_it_is_made(group: type, name: str, value: object) -> None:
    with pytest.raises(InvalidOption):
        group(**{name: value})


@pytest.mark.parametrize(
    "wrong",
    [
        {"body": "text"},
        {"priority": "high"},
        {"headers": {"X": 5}},
        {"dedup_key": ["a"]},
        {"accept": [1]},
        {"method": 1},
    ],
)
def test_a_request_refuses_what_could_not_be_sent(wrong: dict[str, object]) -> None:
    """Where it is made, so that it is its handler's failure and not the end of the crawl."""
    with pytest.raises(TypeError, match="of a request must be"):
        Request("http://a.test/", **wrong)  # type: ignore[arg-type]
