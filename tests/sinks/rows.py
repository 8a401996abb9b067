"""Rows for an output, and rows of one."""

import csv
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from scraper.model import Item
from scraper.sinks import Record


def records(*items: Item, url: str = "http://site/", first: int = 0) -> list[Record]:
    return [Record(f"{url}#{at}", url, at, item) for at, item in enumerate(items, first)]


def read(path: Path) -> list[dict[str, Any]]:
    """Rows as a reader of that format gives them."""
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_bytes().splitlines()]
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    if path.suffix == ".sqlite":
        database = sqlite3.connect(path)
        database.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in database.execute("SELECT * FROM items ORDER BY rowid")]
        finally:
            database.close()
    parquet = pytest.importorskip("pyarrow.parquet")
    rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return rows
