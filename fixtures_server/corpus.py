"""A directory as a site: saved pages with a manifest, or a static tree of HTML.

Which file answers at which path is settled when the corpus is read, so no path of a request can lead outside.
"""

from __future__ import annotations

import gzip
import html
import json
import mimetypes
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from fixtures_server.content import Resource
from fixtures_server.errors import OptionsRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fixtures_server.options import CorpusOptions

_MANIFEST = "manifest.json"
_LINKS_PER_INDEX = 500  # an index page stays near 50 KB, about what the pages it leads to weigh
# A response is one object in memory, and one file must not fill it: larger ones are left out.
_LARGEST_FILE_BYTES = 64 * 1024 * 1024
_HTML_SUFFIXES = (".html", ".htm", ".xhtml")


class Corpus:
    """The files of a directory, each at its path.

    With a `manifest.json` (a list of objects with `file`, and `url` where the page came from) the files that it names
    are served, in its order, and `/` lists them, over several pages if they are many. Without one every file is
    served at its path in the directory, a directory answers with its `index.html` or a list of what is in it.
    `page.html.gz` is served as `/page.html`, unpacked or with `Content-Encoding: gzip`.

    Symbolic links that lead out of the directory are left out, so are files over 64 MB.

    Raises OptionsRefused where the manifest cannot be read, or there is nothing to serve.
    """

    def __init__(self, options: CorpusOptions) -> None:
        self.options = options
        root = options.directory
        manifest = root / _MANIFEST
        self._indexes: dict[str, bytes] = {}
        if manifest.is_file():
            named = _read_manifest(manifest)
            self._files = {path: file for path, file, _ in named}
            self._pages = list(self._files)
            self._add_indexes([(path, label) for path, _, label in named])
        else:
            self._files = dict(_scan(root))
            self._pages = [path for path in self._files if path.endswith(_HTML_SUFFIXES)]
            self._add_listings()
        if not self._files:
            raise OptionsRefused(f"{root} holds no file to serve")
        self._paths = list(dict.fromkeys(_quote(path) for path in ("/", *self._indexes, *self._pages)))

    def paths(self) -> list[str]:
        """`/`, the other index pages, then every HTML page, as the paths stand in a URL."""
        return list(self._paths)

    def resource(self, path: str) -> Resource | None:
        """The file, index or redirect at a path."""
        index = self._indexes.get(path)
        if index is not None:
            return Resource(index)
        if path.endswith("/"):
            path += "index.html"
        file = self._files.get(path)
        if file is not None:
            return _load(path, file)
        if path + "/" in self._indexes or f"{path}/index.html" in self._files:
            return Resource(status=301, location=_quote(path + "/"))
        return None

    def _add_indexes(self, links: list[tuple[str, str]]) -> None:
        starts = range(0, len(links), _LINKS_PER_INDEX) or range(1)
        names = ["/", *(f"/index-{number}.html" for number in range(2, len(starts) + 1))]
        for number, start in enumerate(starts):
            following = names[number + 1 : number + 2]
            page = _index(f"Saved pages {start + 1}", links[start : start + _LINKS_PER_INDEX], following)
            self._indexes[names[number]] = page

    def _add_listings(self) -> None:
        entries: dict[str, dict[str, None]] = {}
        for path in self._files:
            parts = path.split("/")[1:]
            for depth, part in enumerate(parts):
                directory = "/".join(["", *parts[:depth], ""])
                is_directory = depth < len(parts) - 1
                entries.setdefault(directory, {})[part + "/" * is_directory] = None
        for directory, names in entries.items():
            if "index.html" not in names:
                self._indexes[directory] = _index(directory, [(directory + name, name) for name in names], [])


def _read_manifest(manifest: Path) -> list[tuple[str, Path, str]]:
    """The path, the file and the label of every page that a manifest names."""
    try:
        entries = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise OptionsRefused(f"{manifest} cannot be read: {exc}") from exc
    if not isinstance(entries, list):
        raise OptionsRefused(f"{manifest} must hold a list of objects with a 'file'")
    found = []
    root = manifest.parent
    for number, entry in enumerate(entries):
        name = entry.get("file") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            raise OptionsRefused(f"{manifest}: entry {number} has no 'file'")
        file = (root / name).resolve()
        if not file.is_relative_to(root) or not file.is_file():
            raise OptionsRefused(f"{manifest}: there is no file {name!r} in the directory")
        path = "/" + name.removesuffix(".gz")
        found.append((path, file, str(entry.get("url", name))))
    return found


def _scan(root: Path) -> Iterator[tuple[str, Path]]:
    for folder, subfolders, names in os.walk(root):
        subfolders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            if file.is_symlink() and not file.resolve().is_relative_to(root):
                continue
            if not file.is_file() or file.stat().st_size > _LARGEST_FILE_BYTES:
                continue
            path = f"/{file.relative_to(root).as_posix()}"
            unpacked = path.removesuffix(".gz")
            yield (unpacked if unpacked.endswith(_HTML_SUFFIXES) else path), file


def _load(path: str, file: Path) -> Resource | None:
    try:
        stored = file.read_bytes()
        if file.suffix == ".gz" and not path.endswith(".gz"):
            return Resource(gzip.decompress(stored), _content_type(path), gzipped=stored)
    except FileNotFoundError:
        return None  # it went away since the directory was read
    except (OSError, EOFError, zlib.error) as exc:
        return Resource(f"{path}: {exc}\n".encode(), "text/plain; charset=utf-8", status=500)
    return Resource(stored, _content_type(path))


def _content_type(path: str) -> str:
    # The types that Python ships, not this machine's: the same file has the same type everywhere.
    guessed, encoding = mimetypes.MimeTypes().guess_type(path)
    if encoding is not None:
        return "application/gzip" if encoding == "gzip" else "application/octet-stream"
    # No charset: that is for the page to say, as it was on the site that it came from.
    return guessed or "application/octet-stream"


def _quote(path: str) -> str:
    return quote(path, errors="surrogateescape")  # file names are bytes; some are not UTF-8


def _index(title: str, links: list[tuple[str, str]], following: list[str]) -> bytes:
    items = "".join(f'<li><a href="{_quote(path)}">{html.escape(label)}</a></li>\n' for path, label in links)
    more = "".join(f'<p><a class="next" rel="next" href="{path}">Next page</a></p>\n' for path in following)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title></head>\n'
        f"<body><h1>{html.escape(title)}</h1>\n<ol>\n{items}</ol>\n{more}</body></html>\n"
    ).encode(errors="replace")
