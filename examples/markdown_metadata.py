"""The front matter of many small markdown files: parsed, checked, put in order, and stored in SQLite.

    python examples/markdown_metadata.py [--docs 100000] [--folder DIR] [--read worker|parent]

The files are made first, some of them broken on purpose. Then the same work is done in turn, in threads, in processes,
and as `auto` chooses, each into a database of its own: metadata and the document with its new front matter in the table
`documents`, and what is wrong with a file in the table `rejected`. The files stay as they are, so a run that is
interrupted leaves none half rewritten; a transaction holds a thousand documents.

A document takes about as long as handing it over, so what is handed over decides: compare one a payload with 250.
"""

import argparse
import asyncio
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scraper import OffloadPool
from scraper.options import ExecutorName

Row = tuple[str, str, str, str, str, int, str]  # as the columns of `documents`
Rejected = tuple[str, str]  # path, why
Converted = tuple[list[Row], list[Rejected]]

COMMIT_ITEMS = 1000
WAYS: tuple[tuple[ExecutorName, int], ...] = (  # and documents a payload
    ("thread", 1),
    ("thread", 250),
    ("process", 1),
    ("process", 250),
    ("auto", 250),
)
KEYS = ("title", "date", "author", "tags", "draft")

Fields = dict[str, str | list[str]]


class BrokenDocument(ValueError):
    """What is wrong with a document, in words for its author."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """Front matter that obeys the rules, all of which are here."""

    title: str
    date: date
    author: str
    tags: tuple[str, ...] = ()
    draft: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.title) <= 120:
            raise BrokenDocument(f"title must have 1 to 120 characters, not {len(self.title)}")
        if not self.author:
            raise BrokenDocument("author must not be empty")
        if len(self.tags) > 8:
            raise BrokenDocument(f"tags must be 8 at most, not {len(self.tags)}")

    @classmethod
    def of(cls, fields: Fields) -> "Metadata":
        for key in ("title", "date", "author"):
            if key not in fields:
                raise BrokenDocument(f"{key} is missing")
        for key in fields:
            if key not in KEYS:
                raise BrokenDocument(f"{key} is unknown: there are {', '.join(KEYS)}")
        draft = one(fields, "draft", "false")
        if draft not in ("true", "false"):
            raise BrokenDocument(f"draft must be true or false, not {draft!r}")
        try:
            day = date.fromisoformat(one(fields, "date"))
        except ValueError as error:
            raise BrokenDocument(f"date must be a day such as 2024-05-17, not {fields['date']!r}") from error
        tags = fields.get("tags", [])
        if isinstance(tags, str):
            raise BrokenDocument(f"tags must be a list, not {tags!r}")
        return cls(
            one(fields, "title"),
            day,
            one(fields, "author"),
            tuple(sorted({tag.lower() for tag in tags})),
            draft == "true",
        )

    def front_matter(self) -> str:
        lines = [f"title: {self.title}", f"date: {self.date}", f"author: {self.author}"]
        if self.tags:
            lines += ["tags:", *(f"  - {tag}" for tag in self.tags)]
        return "\n".join(["---", *lines, f"draft: {str(self.draft).lower()}", "---", ""])


def one(fields: Fields, key: str, default: str = "") -> str:
    value = fields.get(key, default)
    if isinstance(value, list):
        raise BrokenDocument(f"{key} must be one value, not a list")
    return value


def parse_fields(lines: list[str]) -> Fields:
    """`key: value`, `key: [a, b]`, and lists with an item a line."""
    fields: Fields = {}
    items: list[str] | None = None
    for number, line in enumerate(lines, start=2):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith("- "):
            if items is None:
                raise BrokenDocument(f"line {number}: an item of no list: {text!r}")
            items.append(unquoted(text[2:]))
            continue
        key, colon, value = text.partition(":")
        key, value = key.strip().lower(), value.strip()
        if not colon or not key:
            raise BrokenDocument(f"line {number}: not a key and a value: {text!r}")
        if key in fields:
            raise BrokenDocument(f"line {number}: {key} is there twice")
        items = None
        if value.startswith("[") and value.endswith("]"):
            fields[key] = [unquoted(item) for item in value[1:-1].split(",") if item.strip()]
        elif value:
            fields[key] = unquoted(value)
        else:
            fields[key] = items = []
    return fields


def unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def convert(path: str, content: bytes) -> Row:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BrokenDocument(f"byte {error.start} is not UTF-8") from error
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != "---":
        raise BrokenDocument("no front matter: the first line must be ---")
    try:
        end = lines.index("---", 1)
    except ValueError as error:
        raise BrokenDocument("the front matter has no end: a second --- is missing") from error
    metadata = Metadata.of(parse_fields(lines[1:end]))
    body = "\n".join(line.rstrip() for line in lines[end + 1 :]).strip("\n")
    rewritten = f"{metadata.front_matter()}\n{body}\n"
    tags = " ".join(metadata.tags)
    return path, metadata.title, str(metadata.date), metadata.author, tags, int(metadata.draft), rewritten


def convert_all(documents: Iterable[tuple[str, bytes]]) -> Converted:
    """A group of documents; a broken one fails alone."""
    rows: list[Row] = []
    rejected: list[Rejected] = []
    for path, content in documents:
        try:
            rows.append(convert(path, content))
        except BrokenDocument as error:
            rejected.append((path, str(error)))
    return rows, rejected


def convert_files(paths: Iterable[str]) -> Converted:
    """The same of files: paths cross to the worker, flat tuples come back."""
    return convert_all((path, read(path)) for path in paths)


def read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # a Path and a buffer cost as much as the reading
        return file.read()


class Store:
    """A database that is written by a thread, a thousand rows in a transaction."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._database.executescript("""
            CREATE TABLE documents (path TEXT PRIMARY KEY, title, date, author, tags, draft, markdown) WITHOUT ROWID;
            CREATE TABLE rejected (path TEXT PRIMARY KEY, why) WITHOUT ROWID;
        """)
        self._rows: list[Row] = []
        self._rejected: list[Rejected] = []
        self._writing: asyncio.Future[None] | None = None

    def write(self, rows: list[Row], rejected: list[Rejected]) -> None:
        with self._database:
            self._database.executemany("INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self._database.executemany("INSERT INTO rejected VALUES (?, ?)", rejected)

    async def add(self, rows: list[Row], rejected: list[Rejected]) -> None:
        """Waits only where the disk is slower than the documents come."""
        self._rows += rows
        self._rejected += rejected
        if len(self._rows) + len(self._rejected) >= COMMIT_ITEMS:
            await self.flush()

    async def flush(self) -> None:
        """Hands over what there is, once what was handed over before is written."""
        await self.written()
        self._writing = asyncio.ensure_future(asyncio.to_thread(self.write, self._rows, self._rejected))
        self._rows, self._rejected = [], []

    async def written(self) -> None:
        if self._writing is not None:
            await self._writing

    def counts(self) -> tuple[int, int, Counter[str]]:
        """Stored, rejected, and why."""
        (stored,) = self._database.execute("SELECT count(*) FROM documents").fetchone()
        why = Counter(text for (text,) in self._database.execute("SELECT why FROM rejected"))
        return stored, why.total(), why

    def close(self) -> None:
        self._database.close()


def in_turn(paths: list[str], store: Store) -> None:
    for group in groups(paths, COMMIT_ITEMS):
        store.write(*convert_files(group))


async def in_pool(paths: list[str], store: Store, executor: ExecutorName, size: int, read_in: str) -> str:
    """Returns where it ran and in how many batches."""
    # Where to read? In the worker: paths go out instead of documents, and the workers share the reading. In the parent
    # the event loop reads every file itself. On two CPUs, 60,000 files, 250 a payload, in processes: 62,000 documents/s
    # read in the worker, 57,000 in the parent.
    function: Callable[[Any], Converted]
    payloads: Iterator[Any]
    if read_in == "worker":
        function, payloads = convert_files, groups(paths, size)
    else:
        function, payloads = convert_all, ([(path, read(path)) for path in group] for group in groups(paths, size))
    async with OffloadPool(function, executor=executor) as pool:
        async for result in pool.map(payloads):
            if result.failure is None:
                await store.add(*result.value)
            else:  # the worker was lost, and a whole group with it
                start = (result.index or 0) * size
                await store.add([], [(path, result.failure.detail) for path in paths[start : start + size]])
        await store.flush()
        await store.written()
        used = [each for each in pool.statistics().executors if each.items]
        return f"{', '.join(each.executor for each in used):<8} {sum(each.batches for each in used):>8,}"


def groups(paths: list[str], size: int) -> Iterator[list[str]]:
    return (paths[start : start + size] for start in range(0, len(paths), size))


def generate(folder: Path, count: int) -> list[str]:
    """Small documents as people write them, a thousand to a folder; every hundredth or so is broken."""
    rng = random.Random(1)  # noqa: S311  # the same documents every time
    words = ["river", "road", "bridge", "town", "mill", "stone", "water", "market", "field", "church", "hill", "ferry"]
    paths = []
    for number in range(count):
        if number % 1000 == 0:
            shelf = folder / f"{number // 1000:03}"
            shelf.mkdir(parents=True, exist_ok=True)
        path = shelf / f"{number:06}.md"
        path.write_bytes(document(number, rng, words))
        paths.append(str(path))
    return paths


def document(number: int, rng: random.Random, words: list[str]) -> bytes:
    tags = rng.sample(words, rng.randint(0, 4))
    listed = f"tags: [{', '.join(tags)}]" if number % 2 else "\n".join(["tags:", *(f"- {tag.title()}" for tag in tags)])
    day = f"{rng.randint(2001, 2024)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    lines = [
        f'title: "On the {rng.choice(words)}, part {number}"',
        f"Date:  {day}",
        f"author: {rng.choice('ABCDE')}. Lind",
    ]
    lines += [listed, f"draft: {'true' if number % 5 == 0 else 'false'}   "]
    body = "\n\n".join(" ".join(rng.choices(words, k=30)) + "." for _ in range(3))
    fault = rng.randrange(700)
    if fault < 4:
        lines[fault] = ["title:", "date: last May", "written by nobody", "tags: water"][fault]
    text = "\n".join(["---", *lines, *(["---"] if fault != 4 else []), "", body, ""])
    return text.encode() + (b"\xff\xfe" if fault == 5 else b"")


async def compare(folder: Path, paths: list[str], read_in: str) -> None:
    print(f"{len(paths):,} files; read in the {read_in}\n")
    print(f"{'asked for':<10}{'a payload':>10}{'documents/s':>12}  {'used':<8} {'batches':>8}")
    with closing(Store(folder / "turn.sqlite")) as store:
        started_s = time.perf_counter()
        in_turn(paths, store)
        spent_s = time.perf_counter() - started_s
        expected = store.counts()
    print(f"{'in turn':<10}{'':>10}{len(paths) / spent_s:>12,.0f}")
    for executor, size in WAYS:
        with closing(Store(folder / f"{executor}-{size}.sqlite")) as store:
            started_s = time.perf_counter()
            used = await in_pool(paths, store, executor, size, read_in)
            spent_s = time.perf_counter() - started_s
            assert store.counts() == expected, "the ways disagree"
        print(f"{executor:<10}{size:>10}{len(paths) / spent_s:>12,.0f}  {used}")
    stored, rejected, why = expected
    print(f"\n{stored:,} stored, {rejected:,} rejected, of {len(paths):,}")
    for text, count in why.most_common(6):
        print(f"{count:>6}  {text}")


def main() -> None:
    arguments = argparse.ArgumentParser(description="Front matter of many small markdown files into SQLite.")
    arguments.add_argument("--docs", type=int, default=100_000)
    arguments.add_argument("--folder", type=Path, help="where files and databases go; otherwise a temporary folder")
    arguments.add_argument("--read", choices=("worker", "parent"), default="worker")
    options = arguments.parse_args()
    with TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        paths = generate(folder / "documents", options.docs)
        asyncio.run(compare(folder, paths, options.read))


if __name__ == "__main__":
    main()
