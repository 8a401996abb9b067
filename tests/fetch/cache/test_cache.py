"""Which exchanges the cache answers, in each mode, with a clock that the test sets."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from scraper.errors import CacheRefused
from scraper.fetch.cache import Answer, HopCache
from scraper.fetch.redirects import Hop
from scraper.fetch.refused import Refused
from scraper.model import CacheCounts, Failure
from scraper.options import CACHE_MODES, CacheModeName, CacheOptions

HOP = Hop("http://a.test/", "GET", (), None)
BODY = b"<p>page " * 100
MOST_BYTES = 10_000


def html(*lines: str, status: int = 200, body: bytes | None = BODY) -> Answer:
    pairs = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
    return Answer(status, "Fine", (("Content-Type", "text/html"), *pairs), None, body, 80, 0.1)


class Network:
    """Gives one answer after another, the last again and again, and notes what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[Hop] = []

    async def ask(self, hop: Hop) -> Answer:
        self.asked.append(hop)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Site:
    """A cache in front of a network, at a time.

    Args:
        path: of the cache file.
        network: what answers.
    """

    def __init__(self, path: Path, network: Network) -> None:
        self.path = path
        self.network = network
        self.now_s = 1_700_000_000.0

    @asynccontextmanager
    async def cached(self, mode: CacheModeName = "revalidate", **options: Any) -> AsyncIterator[HopCache]:
        cache = HopCache(CacheOptions(path=self.path, mode=mode, **options), {"User-Agent": "test"}, lambda: self.now_s)
        await cache.open()
        try:
            yield cache
        finally:
            await cache.aclose()

    async def fetch(
        self, hop: Hop = HOP, mode: CacheModeName = "revalidate", *, is_read: bool = True
    ) -> Answer | Failure:
        """One exchange in a run of its own, so that whatever was to be written is in the file."""
        async with self.cached(mode) as cache:
            return await cache.answer(hop, hop.headers, lambda _: is_read, self.network.ask, MOST_BYTES)

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.path)) as database:
            return database.execute(query).fetchall()


@pytest.fixture
def site(tmp_path: Path) -> Callable[..., Site]:
    return lambda *answers: Site(tmp_path / "cache", Network(*answers))


NewSite = Callable[..., Site]


@pytest.mark.parametrize("mode", CACHE_MODES)
async def test_an_answer_comes_back_as_it_was(site: NewSite, mode: CacheModeName) -> None:
    came = html("Cache-Control: max-age=60", "X-A: 1", "x-a: ü")._replace(phrase="Gut\udce9", location="/\udcff")
    a = site(came)
    assert await a.fetch(mode="replay" if mode == "only" else mode) == came
    assert await a.fetch(mode=mode) == came._replace(wire_bytes=0, latency_s=None)
    assert len(a.network.asked) == 1


async def test_a_fresh_answer_is_given_and_a_stale_one_asked_for_again(site: NewSite) -> None:
    a = site(html("Cache-Control: max-age=60"))
    await a.fetch()
    a.now_s += 59
    await a.fetch()
    assert len(a.network.asked) == 1
    a.now_s += 1
    await a.fetch()
    assert len(a.network.asked) == 2
    assert a.network.asked[1] == HOP  # it has nothing to ask by
    a.now_s += 59
    await a.fetch()
    assert len(a.network.asked) == 2


async def test_a_stale_answer_that_holds_is_given_with_its_new_headers(site: NewSite) -> None:
    a = site(html('ETag: "1"', "X-A: 1"), html("Cache-Control: max-age=60", "X-A: 2", status=304, body=None))
    await a.fetch()
    async with a.cached() as cache:
        got = await cache.answer(HOP, (), lambda _: True, a.network.ask, MOST_BYTES)
        assert cache.counts == CacheCounts(revalidated=1)
    assert isinstance(got, Answer)
    assert (got.status, got.body, got.latency_s, got.wire_bytes) == (200, BODY, 0.1, 0)
    assert dict(got.headers)["X-A"] == "2"
    assert a.network.asked[1].headers == (("If-None-Match", '"1"'),)
    a.now_s += 59
    again = await a.fetch()  # what the 304 said of its age holds from now on
    assert again == got._replace(latency_s=None)
    assert len(a.network.asked) == 2


async def test_a_stale_answer_that_changed_is_replaced(site: NewSite) -> None:
    a = site(html('ETag: "1"'), html('ETag: "2"', body=b"<p>new"))
    await a.fetch()
    got = await a.fetch()
    assert isinstance(got, Answer)
    assert got.body == b"<p>new"
    assert a.rows("SELECT count(*) FROM answers") == [(1,)]
    assert a.rows("SELECT size FROM bodies") == [(6,)]  # the old one is gone


async def test_an_error_of_the_moment_leaves_what_is_stored(site: NewSite) -> None:
    a = site(html('ETag: "1"'), html(status=503, body=None), html(status=304, body=None))
    await a.fetch()
    down = await a.fetch()
    assert isinstance(down, Answer)
    assert down.status == 503
    up = await a.fetch()
    assert isinstance(up, Answer)
    assert (up.status, up.body) == (200, BODY)


@pytest.mark.parametrize("control", ["no-cache", "max-age=0"])
async def test_a_request_may_ask_for_what_is_new(site: NewSite, control: str) -> None:
    a = site(html("Cache-Control: max-age=60"))
    await a.fetch()
    await a.fetch(HOP._replace(headers=(("Cache-Control", control),)))
    assert len(a.network.asked) == 2


@pytest.mark.parametrize("mode", ["replay", "revalidate"])
@pytest.mark.parametrize(
    "header",
    ["Authorization", "cookie", "Proxy-Authorization", "Range", "If-None-Match", "If-Modified-Since", "If-Range"],
)
async def test_nothing_is_kept_of_what_is_for_one_request_alone(
    site: NewSite, header: str, mode: CacheModeName
) -> None:
    a = site(html("Cache-Control: max-age=60, public"))
    hop = HOP._replace(headers=((header, "secret-1234"),))
    await a.fetch(hop, mode)
    await a.fetch(hop, mode)
    assert a.network.asked == [hop, hop]
    assert a.rows("SELECT count(*) FROM answers") == [(0,)]
    await a.fetch(HOP, mode)
    await a.fetch(hop, mode)  # nor is it given what others got
    assert len(a.network.asked) == 4


async def test_no_secret_reaches_the_file(site: NewSite) -> None:
    a = site(html("Set-Cookie: session=secret-1234", "Vary: X-Key", "Cache-Control: max-age=60"))
    await a.fetch(HOP._replace(headers=(("X-Key", "secret-5678"),)), "replay")
    for file in a.path.parent.iterdir():
        assert b"secret" not in file.read_bytes()
    replayed = await a.fetch(HOP._replace(headers=(("X-Key", "secret-5678"),)), "only")
    assert isinstance(replayed, Answer)
    assert "Set-Cookie" not in dict(replayed.headers)


@pytest.mark.parametrize("control", ["Cache-Control: no-store", "Vary: *"])
async def test_what_must_not_be_stored_is_stored_by_replay_alone(site: NewSite, control: str) -> None:
    a = site(html(control, 'ETag: "1"'))
    await a.fetch()
    assert a.rows("SELECT count(*) FROM answers") == [(0,)]
    await a.fetch(mode="replay")
    await a.fetch(mode="replay")
    assert len(a.network.asked) == 2
    await a.fetch()  # what was stored so is not used by the RFC's rules, not even to ask by
    assert a.network.asked == [HOP] * 3


async def test_a_request_that_must_not_be_stored_is_not(site: NewSite) -> None:
    a = site(html())
    hop = HOP._replace(headers=(("Cache-Control", "no-store"),))
    for _ in range(2):
        await a.fetch(hop, "replay")
    assert len(a.network.asked) == 2


async def test_answers_are_selected_by_the_headers_that_they_name(site: NewSite) -> None:
    german = html("Vary: Accept-Language, User-Agent", body=b"<p>deutsch")
    english = html("Vary: Accept-Language, User-Agent", body=b"<p>english")
    a = site(german, english)
    hops = [HOP._replace(headers=(("Accept-Language", language),)) for language in ("de", "en")]
    for _ in range(2):
        for hop, body in zip(hops, (b"<p>deutsch", b"<p>english"), strict=True):
            got = await a.fetch(hop, "replay")
            assert isinstance(got, Answer)
            assert got.body == body
    assert a.network.asked == hops
    none = await a.fetch(HOP, "only")
    assert isinstance(none, Failure)


async def test_a_url_has_a_bounded_number_of_answers(site: NewSite) -> None:
    a = site(html("Vary: X"))
    async with a.cached("replay") as cache:
        for number in range(40):
            a.now_s += 1
            hop = HOP._replace(headers=(("X", str(number)),))
            await cache.answer(hop, hop.headers, lambda _: True, a.network.ask, MOST_BYTES)
    assert a.rows("SELECT count(*) FROM answers") == [(16,)]
    assert isinstance(await a.fetch(HOP._replace(headers=(("X", "39"),)), "only"), Answer)


@pytest.mark.parametrize("mode", ["replay", "revalidate"])
@pytest.mark.parametrize("status", [206, 400, 401, 403, 429, 500, 503])
async def test_what_says_nothing_lasting_is_asked_for_again(site: NewSite, status: int, mode: CacheModeName) -> None:
    a = site(html("Cache-Control: max-age=60", status=status, body=None))
    await a.fetch(mode=mode)
    await a.fetch(mode=mode)
    assert len(a.network.asked) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 404, 410])
async def test_redirects_and_pages_that_are_not_there_are_replayed(site: NewSite, status: int) -> None:
    came = html(status=status, body=None)._replace(location="/x")
    a = site(came)
    await a.fetch(mode="replay")
    assert await a.fetch(mode="replay") == came._replace(wire_bytes=0, latency_s=None)
    assert len(a.network.asked) == 1


async def test_what_one_request_did_not_read_another_may(site: NewSite) -> None:
    """An answer of a type that nobody wanted is stored without its body."""
    a = site(html(body=None), html())
    await a.fetch(mode="replay", is_read=False)
    await a.fetch(mode="replay", is_read=False)
    assert len(a.network.asked) == 1
    assert isinstance(await a.fetch(mode="only", is_read=True), Failure)
    for is_read in (True, True, False):
        got = await a.fetch(mode="replay", is_read=is_read)
        assert isinstance(got, Answer)
        assert got.body == BODY
    assert len(a.network.asked) == 2


async def test_only_asks_nobody(site: NewSite) -> None:
    a = site(html())
    await a.fetch(mode="replay")
    others = [
        HOP._replace(url="http://a.test/other"),
        HOP._replace(method="HEAD"),
        HOP._replace(method="POST"),
        HOP._replace(method="PUT"),
        HOP._replace(headers=(("Cookie", "a=b"),)),
    ]
    before = a.path.read_bytes()
    for hop in others:
        got = await a.fetch(hop, "only")
        assert isinstance(got, Failure)
        assert (got.reason, got.retryable, got.latency_s) == ("not_cached", False, None)
    assert len(a.network.asked) == 1
    assert a.path.read_bytes() == before


async def test_only_needs_a_file(site: NewSite) -> None:
    a = site(html())
    with pytest.raises(CacheRefused, match="does not exist"):
        await a.fetch(mode="only")
    assert not a.path.exists()


async def test_posts_are_replayed_by_their_bodies_and_not_kept_by_the_rfc(site: NewSite) -> None:
    a = site(html("Cache-Control: max-age=60"))
    hops = [HOP._replace(method="POST", body=body) for body in (b"1", b"2", None)]
    for hop in hops * 2:
        await a.fetch(hop, "replay")
    assert a.network.asked == hops
    await a.fetch(hops[0])
    assert len(a.network.asked) == 4


@pytest.mark.parametrize(("status", "count"), [(200, 2), (302, 2), (404, 1), (500, 1)])
async def test_a_request_that_may_change_a_page_makes_its_answer_forgotten(
    site: NewSite, status: int, count: int
) -> None:
    a = site(html("Cache-Control: max-age=60"), html(status=status), html())
    await a.fetch()
    await a.fetch(HOP._replace(method="DELETE"))
    await a.fetch()
    assert [hop.method for hop in a.network.asked].count("GET") == count


async def test_a_stored_body_beyond_the_cap_is_refused_as_on_the_network(site: NewSite) -> None:
    a = site(html(body=bytes(20_000)))
    await a.fetch(mode="replay")
    with pytest.raises(Refused, match="the cap is 10000"):
        await a.fetch(mode="replay")


async def test_a_body_is_kept_once(site: NewSite) -> None:
    a = site(html())
    async with a.cached("replay") as cache:
        for number in range(5):
            await cache.answer(
                HOP._replace(url=f"http://a.test/{number}"), (), lambda _: True, a.network.ask, MOST_BYTES
            )
    assert a.rows("SELECT count(*) FROM answers") == [(5,)]
    assert a.rows("SELECT size, length(packed) < size / 4 FROM bodies") == [(len(BODY), 1)]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE bodies SET packed = zeroblob(length(packed))",
        "UPDATE bodies SET packed = substr(packed, 1, length(packed) - 4)",
        "UPDATE bodies SET size = 3",
        "DELETE FROM bodies",
        "UPDATE answers SET headers = '[['",
    ],
)
async def test_an_answer_that_is_damaged_is_dropped_and_fetched_anew(site: NewSite, damage: str) -> None:
    a = site(html())
    await a.fetch(mode="replay")
    with closing(sqlite3.connect(a.path)) as database, database:
        database.execute(damage)
    assert isinstance(await a.fetch(mode="only"), Failure)
    got = await a.fetch(mode="replay")
    assert isinstance(got, Answer)
    assert got.body == BODY
    assert len(a.network.asked) == 2
    assert isinstance(await a.fetch(mode="only"), Answer)


async def test_a_body_of_other_bytes_is_not_taken_for_the_page(site: NewSite) -> None:
    a = site(html(body=b"<p>one"), html(body=b"<p>two"))
    await a.fetch(mode="replay")
    await a.fetch(HOP._replace(url="http://a.test/2"), "replay")
    with closing(sqlite3.connect(a.path)) as database, database:
        database.execute("UPDATE bodies SET packed = (SELECT packed FROM bodies ORDER BY rowid LIMIT 1)")
    assert isinstance(await a.fetch(mode="only"), Answer)
    assert isinstance(await a.fetch(HOP._replace(url="http://a.test/2"), "only"), Failure)


async def test_what_was_not_used_for_longest_makes_room(site: NewSite) -> None:
    bodies = [bytes(f"{number}", "ascii") + (number % 251).to_bytes(1, "big") * 8 for number in range(1000)]
    a = site(*[html(f"X-Filler: {'x' * 1000}", body=body) for body in bodies])
    hops = [HOP._replace(url=f"http://a.test/{number}") for number in range(1000)]
    async with a.cached("replay", max_bytes=600_000) as cache:
        for hop in hops:
            a.now_s += 7_200
            await cache.answer(hop, hop.headers, lambda _: True, a.network.ask, MOST_BYTES)
            first = await cache.answer(
                hops[0], (), lambda _: True, a.network.ask, MOST_BYTES
            )  # the one that is always used
            assert isinstance(first, Answer)
            assert first.body == bodies[0]
    assert a.rows("SELECT (page_count - freelist_count) * page_size < 600000 FROM pragma_page_count, "
                  "pragma_freelist_count, pragma_page_size") == [(1,)]  # fmt: skip
    stored = {url for (url,) in a.rows("SELECT url FROM answers")}
    assert hops[0].url in stored
    assert hops[1].url not in stored
    assert hops[-1].url in stored
    assert a.rows("SELECT count(*) FROM bodies WHERE digest NOT IN (SELECT body FROM answers)") == [(0,)]


async def test_two_caches_on_one_file_give_each_others_answers(site: NewSite) -> None:
    a = site(html())
    hops = [HOP._replace(url=f"http://a.test/{number}") for number in range(60)]
    async with a.cached("replay") as one, a.cached("replay") as other:

        async def half(cache: HopCache, part: list[Hop]) -> None:
            await asyncio.gather(
                *(cache.answer(hop, hop.headers, lambda _: True, a.network.ask, MOST_BYTES) for hop in part)
            )

        await asyncio.gather(half(one, hops[::2]), half(other, hops[1::2]))
    async with a.cached("only") as cache:
        for hop in hops:
            assert isinstance(await cache.answer(hop, hop.headers, lambda _: True, a.network.ask, MOST_BYTES), Answer)
        assert cache.counts == CacheCounts(replayed=60)
    assert len(a.network.asked) == 60


async def test_a_file_that_cannot_be_written_costs_the_cache_and_nothing_else(
    site: NewSite, caplog: pytest.LogCaptureFixture
) -> None:
    a = site(html())
    async with a.cached("replay") as cache:
        await cache.answer(HOP, (), lambda _: True, a.network.ask, MOST_BYTES)
        with closing(sqlite3.connect(a.path)) as database, database:
            database.execute("DROP TABLE bodies")
        for number in range(5):
            got = await cache.answer(
                HOP._replace(url=f"http://a.test/{number}"), (), lambda _: True, a.network.ask, MOST_BYTES
            )
            assert isinstance(got, Answer)
            assert got.body == BODY
        trouble = cache.counts.trouble
    assert trouble is not None
    assert "nothing more is stored" in trouble
    assert [record.message for record in caplog.records] == [trouble]


async def test_a_file_that_cannot_be_read_is_asked_no_more_than_the_site(
    site: NewSite, caplog: pytest.LogCaptureFixture
) -> None:
    a = site(html())
    async with a.cached("replay") as cache:
        with closing(sqlite3.connect(a.path)) as database, database:
            database.execute("DROP TABLE answers")
        got = await cache.answer(HOP, (), lambda _: True, a.network.ask, MOST_BYTES)
        assert isinstance(got, Answer)
        trouble = cache.counts.trouble
    assert trouble is not None
    assert "could not be read: no such table" in trouble
    assert len(caplog.records) == 1


async def test_what_nobody_foresaw_reaches_who_waits_and_ends_nothing_else(
    site: NewSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = site(html())
    async with a.cached("replay") as cache:
        with monkeypatch.context() as patch:
            patch.setattr("scraper.fetch.cache.file.CacheFile.find", lambda *_: bytes(1 << 62))
            with pytest.raises((MemoryError, OverflowError)):
                await cache.answer(HOP, (), lambda _: True, a.network.ask, MOST_BYTES)
        assert isinstance(await cache.answer(HOP, (), lambda _: True, a.network.ask, MOST_BYTES), Answer)
    assert len(a.network.asked) == 1


async def test_much_that_waits_to_be_written_is_waited_for(site: NewSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then an exchange ends when its answer is in the file."""
    monkeypatch.setattr("scraper.fetch.cache.off_loop._MOST_WAITING_BYTES", 0)
    a = site(html())
    async with a.cached("replay") as cache:
        await cache.answer(HOP, (), lambda _: True, a.network.ask, MOST_BYTES)
        assert a.rows("SELECT count(*) FROM answers") == [(1,)]
