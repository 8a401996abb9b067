"""robots.txt: Google's verdicts, what real and hostile files do, and a matcher that is right by its simplicity."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scraper import robots
from scraper.robots import MAX_BODY_BYTES, Decision, Robots, product_token

DATA = Path(__file__).parents[2] / "shared/data/robots"
AGENT = "ExampleBot"
HOST = "https://example.org"
LINE_BYTES = 16_663  # what counts of a line


def allows(body: str | bytes, path: str, agent: str = AGENT) -> bool:
    """The verdict on a path, which both ways of asking for it must give."""
    parsed = Robots.parse(body.encode() if isinstance(body, str) else body, agent)
    verdict = parsed.allows(HOST + path)
    assert parsed.decide(HOST + path).allowed is verdict
    return verdict


def disallowing(*patterns: str) -> str:
    return "".join(["User-agent: *\n", *(f"Disallow: {pattern}\n" for pattern in patterns)])


@pytest.fixture(scope="module")
def verdicts() -> list[dict[str, Any]]:
    file = DATA / "google_spec_correctness.json"
    if not file.exists():
        pytest.skip("Google's verdicts are not at hand")
    cases: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return cases


def test_every_verdict_of_googles_parser(verdicts: list[dict[str, Any]]) -> None:
    assert len(verdicts) == 146
    for case in verdicts:
        parsed = Robots.parse(case["robotstxt"].encode(), case["user_agent"])
        assert parsed.allows(case["url"]) is case["allowed"], case
        assert parsed.decide(case["url"]).allowed is case["allowed"], case


def test_real_files_are_read_and_travel() -> None:
    folder = DATA / "real"
    if not folder.is_dir():
        pytest.skip("the real files are not at hand")
    files = sorted(folder.iterdir())
    assert len(files) == 300
    without_rules = 0
    for file in files:
        body = file.read_bytes()
        parsed = Robots.parse(body, AGENT)
        without_rules += not parsed.rule_count
        assert pickle.loads(pickle.dumps(parsed)) == parsed
        assert parsed.allows(f"{HOST}/robots.txt")
        said = parsed.decide(f"{HOST}/search?q=a/b.html")
        assert said.allowed is parsed.allows(f"{HOST}/search?q=a/b.html")
        if said.line is not None:
            line = body.splitlines()[said.line - 1].lower()
            assert (b"disallow" not in line) is said.allowed
    assert 0 < without_rules < 100, "some are HTML, most are not"


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("scraper/0.1 (Python asyncio crawler)", "scraper"),
        ("Mozilla/5.0 (compatible; ExampleBot/0.1; https://www.example.com/bot.html)", "ExampleBot"),
        ("Example-Bot_x", "Example-Bot_x"),
        ("", ""),
        ("42", ""),
    ],
)
def test_a_header_gives_its_product_token(header: str, token: str) -> None:
    assert product_token(header) == token


@pytest.mark.parametrize("line", ["ExampleBot", "EXAMPLEBOT", "examplebot/2.0", "ExampleBot *", "ExampleBot # us"])
def test_a_group_is_found_by_its_token(line: str) -> None:
    body = f"User-agent: *\nDisallow: /\n\nUser-agent: {line}\nDisallow: /mine\n"
    assert allows(body, "/x")
    assert not allows(body, "/mine")


@pytest.mark.parametrize("line", ["Example", "ExampleBotNews", "NotExampleBot", "*ExampleBot", "ツ", ""])
def test_another_token_is_another_crawler(line: str) -> None:
    body = f"User-agent: {line}\nDisallow: /\n"
    assert allows(body, "/x")
    assert allows(body, "/x", agent="")


@pytest.mark.parametrize("line", ["*", "* ", "* # all", "* all of you"])
def test_an_asterisk_is_everybody(line: str) -> None:
    assert not allows(f"User-agent: {line}\nDisallow: /\n", "/x")
    assert not allows(f"User-agent: {line}\nDisallow: /\n", "/x", agent="")


def test_groups_of_the_same_crawler_are_one() -> None:
    body = (
        "User-agent: ExampleBot\nDisallow: /a\nUser-agent: other\nDisallow: /b\nUser-agent: examplebot\nDisallow: /c\n"
    )
    assert [allows(body, path) for path in ("/a", "/b", "/c")] == [False, True, False]


def test_a_group_without_rules_allows_everything() -> None:
    assert allows("User-agent: *\nDisallow: /\nUser-agent: ExampleBot\n", "/x")
    assert allows("User-agent: *\nDisallow: /\nUser-agent: ExampleBot\nDisallow:\n", "/x")


def test_several_crawlers_share_a_group() -> None:
    body = "User-agent: one\nUser-agent: ExampleBot\n\nSitemap: /s.xml\nUser-agent: two\nDisallow: /\n"
    assert not any(allows(body, "/x", agent) for agent in ("one", "two", AGENT))
    assert allows(body, "/x", "three")


def test_rules_before_any_crawler_count_for_none() -> None:
    assert allows("Disallow: /\nAllow: /\nUser-agent: *\nDisallow: /a\n", "/x")


@pytest.mark.parametrize(
    "line",
    [
        "disallow:/x",
        "  DISALLOW  :  /x  ",
        "\tDisallow: /x # because",
        "Disallow: /x#because",
        "Disallow /x",
        "Disallow\t/x",
        "Dissallow: /x",
        "dissalow: /x",
        "disalow: /x",
        "diasllow: /x",
        "disallaw: /x",
        "Disallowed: /x",
        "Disallow: /x\0/y",
        "Disallow: *x",
    ],
)
@pytest.mark.parametrize("agent", ["User-agent: *", "user agent: *", "useragent:*", "User-Agents: *", "User-agent *"])
def test_lines_that_google_reads(agent: str, line: str) -> None:
    assert not allows(f"{agent}\n{line}\n", "/x")
    assert allows(f"{agent}\n{line}\n", "/z")


@pytest.mark.parametrize(
    "line",
    [
        "Disallow",
        "Disallow:",
        "Disallow: # /",
        "# Disallow: /",
        "Disallow / x",
        ": /",
        "Dis allow: /",
        "<p>Disallow: /</p>",
        "Disallow: x",
        "Disallow: https://example.org/x",
        "Disallow: $",
        "\0Disallow: /",
        "Noindex: /",
        "Unallow: /",
    ],
)
def test_lines_that_say_nothing(line: str) -> None:
    body = f"User-agent: *\n{line}\n"
    assert allows(body, "/x")
    assert Robots.parse(body.encode(), AGENT).rule_count == 0
    assert not allows(f"{body}Disallow: /x\n", "/x")


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_lines_end_as_in_any_system(end: str) -> None:
    body = f"{end}# one{end}User-agent: *{end}{end}Disallow: /x\x0b\x0c\x1c\x85{end}Allow: /x/y{end}"
    assert Robots.parse(body.encode("latin-1"), AGENT).decide(f"{HOST}/x/y") == Decision(True, 6, "Allow: /x/y")


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xef\xbb", b"\xef", "\ufffd".encode()])
def test_a_byte_order_mark_is_no_part_of_the_first_line(mark: bytes) -> None:
    assert not allows(mark + b"User-agent: *\nDisallow: /\n", "/x")
    assert allows(b"\n" + mark + b"User-agent: *\nDisallow: /\n", "/x")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_read_if_it_says_so(encoding: str) -> None:
    assert not allows("\ufeffUser-agent: *\r\nDisallow: /ツ\r\n".encode(encoding), "/%E3%83%84")
    assert allows("User-agent: *\nDisallow: /\n".encode(encoding), "/x")


def test_a_line_counts_up_to_a_length() -> None:
    pattern = "/" + "a" * LINE_BYTES
    kept = pattern[: LINE_BYTES - len("Disallow: ")]
    assert not allows(disallowing(pattern), kept)
    assert allows(disallowing(pattern), kept[:-1])


def test_what_stands_behind_500_kib_does_not_count() -> None:
    first = b"User-agent: *\nDisallow: /first\n#"
    last = b"\nDisallow: /"
    full = first + b"." * (MAX_BODY_BYTES - len(first) - len(last)) + last
    assert len(full) == MAX_BODY_BYTES
    for body, counts in (
        (full, True),
        (full + b"\nAllow: /", True),
        (full + b"\rAllow: /", True),
        (full + b"last", False),
    ):
        assert allows(body, "/x") is not counts, body[-10:]
        assert not allows(body, "/first")
    assert allows(b"\0" * (MAX_BODY_BYTES + 1), "/x")


HTML = b"<!DOCTYPE html>\n<html><body>\n<a href='https://example.org/'>Not: found</a>\n<style>a: b</style></html>\n"


@pytest.mark.parametrize("body", [b"", HTML, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\0" * 100, b"\xff\xfe", b"\xfe\xff\0"])
def test_what_is_no_robots_txt_forbids_nothing(body: bytes) -> None:
    assert Robots.parse(body, AGENT) == Robots()
    assert allows(body, "/x")


@settings(deadline=None, derandomize=True)
@given(st.binary(max_size=300), st.binary(max_size=40))
@example(b"\xff\xfeU\0", b"\xd8")
def test_any_bytes_are_read(noise: bytes, value: bytes) -> None:
    for body in (noise, b"User-agent: *\nDisallow: " + value + b"\nCrawl-delay:" + value + b"\nAllow:" + noise):
        parsed = Robots.parse(body, AGENT)
        said = parsed.decide(f"{HOST}/x")
        assert said.allowed is parsed.allows(f"{HOST}/x")
        assert pickle.loads(pickle.dumps(parsed)) == parsed
        assert said.rule is None or (said.rule.isascii() and said.rule.isprintable())


def test_robots_txt_itself_is_always_allowed() -> None:
    assert allows(disallowing("/", "/robots.txt"), "/robots.txt")
    assert not allows(disallowing("/"), "/robots.txt/x")
    assert not allows(disallowing("/"), "/x/robots.txt")


def test_the_longest_pattern_decides_and_allow_wins_a_draw() -> None:
    body = "User-agent: *\nDisallow: /a\nAllow: /a/b\nDisallow: /a/b/*.gif$\nAllow: /c*\nDisallow: /c/\n"
    verdicts = [allows(body, path) for path in ("/a", "/a/b", "/a/b/c.gif", "/a/b/c.gif?x", "/c", "/c/")]
    assert verdicts == [False, True, False, True, True, True]


def test_patterns_see_path_and_query_and_nothing_else() -> None:
    body = disallowing("/*?q=", "/*example", "/*https:").encode()
    parsed = Robots.parse(body, AGENT)
    assert parsed.allows("https://example.org:8443/")
    assert parsed.allows("https://example:pw@example.org/?p=1")
    assert not parsed.allows("https://example.org:8443/a?q=")
    assert not parsed.allows("https://other.org/?from=https://x.org/")


def test_an_allowed_index_page_allows_its_folder() -> None:
    body = "User-agent: *\nDisallow: /\nAllow: /a/index.html\nAllow: /b/index.htm\nAllow: /c/index.php\n"
    assert [allows(body, path) for path in ("/a/", "/b/", "/c/", "/a/x", "/a")] == [True, True, False, False, False]
    assert allows(disallowing("/a/index.html"), "/a/")


SAME = [  # a pattern, and a path that it is about as well however it is spelled
    ("/ツ", "/%E3%83%84"),
    ("/%e3%83%84", "/%E3%83%84"),
    ("/%E3%83%84", "/%e3%83%84"),
    ("/a b", "/a%20b"),
    ("/{id}", "/%7Bid%7D"),
    ("/*{id}", "/x?{id}"),
    ('/"x"', "/%22x%22"),
    ("/it's", "/it's"),
    ("/?q='x'", "/?q=%27x%27"),
    ("/a|b", "/a|b"),
    ("/x%2A", "/x*"),
    ("/x%24", "/x$"),
    ("/x$y", "/x%24y"),
    ("/x*y%2a$", "/x/y*"),
]

SAME_ONLY_TO_DISALLOW = [("/%7Ejoe", "/~joe"), ("/~joe", "/%7ejoe"), ("/*%62%61%7A", "/baz"), ("/b*z", "/%62a%7a")]

DIFFERENT = [("/a%2Fb", "/a/b"), ("/a/b", "/a%2fb"), ("/a%3Fb", "/a?b"), ("/A", "/a"), ("/%2541", "/A")]


@pytest.mark.parametrize(("pattern", "path"), SAME)
def test_spellings_of_the_same(pattern: str, path: str) -> None:
    assert not allows(disallowing(pattern), path)
    assert allows(disallowing("/") + f"Allow: {pattern}\n", path)


@pytest.mark.parametrize(("pattern", "path"), SAME_ONLY_TO_DISALLOW)
def test_letters_that_are_encoded_count_where_it_is_stricter(pattern: str, path: str) -> None:
    assert not allows(disallowing(pattern), path)
    assert not allows(disallowing("/") + f"Allow: {pattern}\n", path)


@pytest.mark.parametrize(("pattern", "path"), DIFFERENT)
def test_spellings_that_are_not_the_same(pattern: str, path: str) -> None:
    assert allows(disallowing(pattern), path)
    assert not allows(disallowing("/") + f"Allow: {pattern}\n", path)


def test_a_pattern_is_as_long_however_it_is_spelled() -> None:
    body = "User-agent: *\nDisallow: /~joe/private\nAllow: /%7E%6A%6F%65/\nDisallow: /~joe\n"
    assert not allows(body, "/%7E%6A%6F%65/private")
    assert allows(body, "/%7E%6A%6F%65/public")


def naive_match(pattern: str, path: str) -> bool:
    anchored = pattern.endswith("$")
    expression = ".*".join(map(re.escape, pattern.removesuffix("$").split("*")))
    return re.match(expression + (r"\Z" if anchored else ""), path, re.DOTALL) is not None


def naive_verdict(rules: list[tuple[bool, str]], path: str) -> bool:
    return max([(len(pattern), allow) for allow, pattern in rules if naive_match(pattern, path)], default=(0, True))[1]


PATTERN = st.builds(str.__add__, st.sampled_from(["/", "*"]), st.text("ab/*$", max_size=7))
RULES = st.lists(st.tuples(st.booleans(), PATTERN), max_size=12)
PATH = st.text("ab/$*", max_size=12).map("/{}".format)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(RULES, PATH)
@example([(False, "/*a*a$")], "/a")
@example([(False, "/a*$")], "/a")
@example([(False, "/ab"), (False, "/aa"), (True, "/")], "/ac")
def test_decisions_are_those_of_a_simple_matcher(rules: list[tuple[bool, str]], path: str) -> None:
    lines = [f"{'Allow' if allow else 'Disallow'}: {pattern}" for allow, pattern in rules]
    body = "\n".join(["User-agent: *", *lines])
    assert allows(body, path) is naive_verdict(rules, path)
    said = Robots.parse(body.encode(), AGENT).decide(HOST + path)
    if said.line is None:
        assert not any(naive_match(pattern, path) for _, pattern in rules)
    else:
        allow, pattern = rules[said.line - 2]
        assert said == Decision(allow, said.line, lines[said.line - 2])
        assert naive_match(pattern, path)


def test_a_decision_names_the_line_that_stands_first() -> None:
    body = b"# all\nUser-agent: *\nDisallow: /a\nDisallow: /a\nDisallow: /b c # no\nAllow: /a/x\nAllow: /a/x\n"
    parsed = Robots.parse(body, AGENT)
    assert parsed.decide(f"{HOST}/a") == Decision(False, 3, "Disallow: /a")
    assert parsed.decide(f"{HOST}/b%20c") == Decision(False, 5, "Disallow: /b%20c")
    assert parsed.decide(f"{HOST}/a/x") == Decision(True, 6, "Allow: /a/x")
    assert parsed.decide(f"{HOST}/c") == Decision(True)
    assert parsed.decide(f"{HOST}/robots.txt") == Decision(True)


# Hostile patterns: what is counted is steps, since time is the machine's


class CountedPath(str):
    """A path that counts how often it is searched."""

    __slots__ = ("searches",)
    searches: int

    def __new__(cls, text: str) -> Self:
        path = super().__new__(cls, text)
        path.searches = 0
        return path

    def find(self, *arguments: Any) -> int:
        self.searches += 1
        return super().find(*arguments)

    def startswith(self, *arguments: Any) -> bool:
        self.searches += 1
        return super().startswith(*arguments)

    def endswith(self, *arguments: Any) -> bool:
        self.searches += 1
        return super().endswith(*arguments)

    def __contains__(self, text: object) -> bool:
        self.searches += 1
        return super().__contains__(text)  # type: ignore[operator]


def searches(patterns: list[str], text: str) -> int:
    """How often a path is searched to decide about it."""
    path = CountedPath(text)
    rules = robots._Rules.compile(dict.fromkeys(patterns, 1), {})
    rules.longest(path)
    return path.searches


HOSTILE = {
    "many asterisks": ["/" + "*a" * number + "*b" for number in range(1, 100)],
    "many asterisks and an end": ["/" + "*a" * number + "*b$" for number in range(1, 100)],
    "many patterns": [f"/*/{number:x}*?id=*&p" for number in range(2_000)],
    "many heads": [f"/a{number:x}*b" for number in range(2_000)],
    "heads within heads": ["/" + "a" * number + "*b" for number in range(300)],
    "asterisks only": ["/" + "*" * number for number in range(1, 300)],
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("path", ["/" + "a" * 8_000, "/" + "ab" * 4_000, "/" + "a/0?id=" * 1_000, "/"])
def test_a_path_is_searched_at_most_once_for_each_part_of_each_pattern(name: str, path: str) -> None:
    patterns = HOSTILE[name]
    parts = sum(len(re.split(r"\*+", pattern)) for pattern in patterns)
    assert searches(patterns, path) <= parts + 2 * len(patterns)


def test_a_path_is_searched_only_for_patterns_whose_heads_it_begins_with() -> None:
    assert searches([f"/folder{number}/*.gif$" for number in range(10_000)], "/folder77/x.png") <= 5
    assert searches([f"/folder{number}" for number in range(10_000)], "/other") <= 5


@settings(deadline=None, derandomize=True)
@given(st.lists(PATTERN, max_size=12), PATH)
def test_no_more_searches_than_parts(patterns: list[str], path: str) -> None:
    assert searches(patterns, path) <= sum(len(re.split(r"\*+", pattern)) + 2 for pattern in patterns)


@settings(deadline=None, derandomize=True)
@given(st.sets(st.text("ab", max_size=6), max_size=20))
def test_parents_are_the_longest_beginnings(texts: set[str]) -> None:
    heads = sorted(texts)
    for head, parent in zip(heads, robots._parents(heads), strict=True):
        longest = max((text for text in heads if head.startswith(text) and text != head), key=len, default=None)
        assert (heads[parent] if parent >= 0 else None) == longest


def test_a_file_of_names_and_rules_stays_small() -> None:
    """Each rule counts for 10,000 crawlers: it is kept for the one that asks, and only once."""
    names = "".join(f"User-agent: bot{'x' * (number % 10)}\n" for number in range(10_000))
    rules = "".join(f"Disallow: /{number % 50}\n" for number in range(10_000))
    body = f"{names}User-agent: {AGENT}\nUser-agent: *\n{rules}".encode()
    assert Robots.parse(body, AGENT).rule_count == 50
    assert len(pickle.dumps(Robots.parse(body, AGENT))) < 10_000


@pytest.mark.parametrize(
    ("value", "delay_s"),
    [
        ("10", 10.0),
        ("0", 0.0),
        ("2.5", 2.5),
        (".5", 0.5),
        ("10 s", 10.0),
        ("1e9", 1e9),
        ("9" * 200, 1e200),
        ("9" * 400, None),
        ("1e999", None),
        ("-1", None),
        ("NaN", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        ("\xb2", None),
    ],
)
def test_crawl_delay(value: str, delay_s: float | None) -> None:
    parsed = Robots.parse(f"User-agent: *\nCrawl-delay: {value}\n".encode(), AGENT)
    assert parsed.crawl_delay_s == (None if delay_s is None else pytest.approx(delay_s))


def test_the_longest_crawl_delay_of_ones_own_group_counts() -> None:
    body = b"Crawl-delay: 9\nUser-agent: *\nCrawl-delay: 8\n\nDisallow:\nUser-agent: ExampleBot\nDisallow: /x\n"
    assert Robots.parse(body, AGENT).crawl_delay_s is None
    assert Robots.parse(body, "other").crawl_delay_s == 8
    more = body + b"Crawl-delay: 2\nUser-agent: examplebot\nCrawl delay: 3\ncrawldelay: 1\n"
    assert Robots.parse(more, AGENT).crawl_delay_s == 3


def test_a_crawl_delay_does_not_end_a_group_and_is_for_those_before_it() -> None:
    body = b"User-agent: one\nCrawl-delay: 5\nUser-agent: two\nDisallow: /\n"
    one, two = (Robots.parse(body, agent) for agent in ("one", "two"))
    assert not one.allows(f"{HOST}/x")
    assert not two.allows(f"{HOST}/x")
    assert (one.crawl_delay_s, two.crawl_delay_s) == (5, None)


def test_sitemaps_stand_anywhere_and_end_no_group() -> None:
    body = """Sitemap: https://example.org/a.xml # the first
User-agent: other
site-map: https://example.org/ü.xml
User-agent: ExampleBot
SITEMAPS: /b.xml
Disallow: /x
Sitemap:
Sitemap: https://example.org/a.xml
Disallow: /y
"""
    parsed = Robots.parse(body.encode(), AGENT)
    assert parsed.sitemaps == ("https://example.org/a.xml", "https://example.org/ü.xml", "/b.xml")
    assert not parsed.allows(f"{HOST}/y")
    assert Robots.parse(body.encode(), "other") == parsed


def test_without_a_file_everything_is_allowed() -> None:
    assert Robots().allows(f"{HOST}/x")
    assert Robots().decide(f"{HOST}/x") == Decision(True)
    assert (Robots().crawl_delay_s, Robots().sitemaps, Robots().rule_count) == (None, (), 0)


def test_what_it_shows_of_itself() -> None:
    assert repr(Robots()) == "<Robots: 0 rules, 0 sitemaps>"
    body = disallowing("/a", "/b").encode() + b"Crawl-delay: 2.5\nSitemap: /s.xml\n"
    assert repr(Robots.parse(body, AGENT)) == "<Robots: 2 rules, 2.5 s between requests, 1 sitemaps>"
