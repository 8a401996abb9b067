"""A site in memory, as users' tests see it."""

import pytest

from scraper.errors import InvalidURL
from scraper.fetch import Fetcher, MockFetcher
from scraper.fetch.mock import Answer
from scraper.model import Failure, Request, Response, Skip, Stage


async def ask(fetcher: Fetcher, url: str) -> Response | Failure | Skip:
    """Also shows the type checker that a mock is a fetcher."""
    async with fetcher:
        return await fetcher.fetch(Request(url))


async def test_bytes_are_an_html_page() -> None:
    answer = await ask(MockFetcher({"http://a.test/": b"<p>hello"}), "http://a.test/")
    assert answer == Response("http://a.test/", 200, (("Content-Type", "text/html"),), b"<p>hello", 8, 0.0)


async def test_urls_are_compared_in_canonical_form() -> None:
    assert isinstance(await ask(MockFetcher({"HTTP://A.test": b""}), "http://a.test:80/#top"), Response)


async def test_what_is_not_listed_is_not_found() -> None:
    answer = await ask(MockFetcher({}), "http://a.test/")
    assert isinstance(answer, Failure)
    assert answer.reason == "http_404"


@pytest.mark.parametrize(
    "answer",
    [
        Response("http://b.test/", 203, (), b"x", 1, 0.1),
        Failure(Stage.FETCH, "timeout", retryable=True),
        Skip("content_type", "image/png"),
    ],
)
async def test_answers_are_given_as_they_are(answer: Answer) -> None:
    assert await ask(MockFetcher({"http://a.test/": answer}), "http://a.test/") is answer


async def test_a_function_answers_each_time_anew() -> None:
    answers: list[Answer] = [Failure(Stage.FETCH, "http_503", retryable=True), b"now it works"]
    mock = MockFetcher({"http://a.test/": lambda _: answers.pop(0)})
    assert isinstance(await ask(mock, "http://a.test/"), Failure)
    assert isinstance(await ask(mock, "http://a.test/"), Response)
    assert [request.url for request in mock.requests] == ["http://a.test/"] * 2


def test_a_key_that_is_no_url_is_refused() -> None:
    with pytest.raises(InvalidURL):
        MockFetcher({"/relative": b""})
