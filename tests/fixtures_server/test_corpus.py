import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures_server import Corpus, CorpusOptions, FixtureServer, OptionsRefused

SAVED_PAGES = Path(__file__).parents[3] / "shared" / "data" / "pages"


def _tree(root: Path, files: dict[str, bytes]) -> Path:
    for name, body in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    return root


def _body(corpus: Corpus, path: str) -> bytes | None:
    resource = corpus.resource(path)
    return None if resource is None else resource.body


def test_a_manifest_decides_what_is_served_and_in_which_order(tmp_path: Path) -> None:
    pages: list[dict[str, Any]] = [{"file": "b.html.gz", "url": "https://example.org/b?x=1&y=2"}, {"file": "a.html"}]
    files = {"manifest.json": json.dumps(pages).encode(), "a.html": b"<p>a", "c.html": b"<p>c"}
    corpus = Corpus(CorpusOptions(_tree(tmp_path, {**files, "b.html.gz": gzip.compress(b"<p>b")})))
    assert corpus.paths() == ["/", "/b.html", "/a.html"]
    assert _body(corpus, "/b.html") == b"<p>b"
    assert _body(corpus, "/c.html") is None
    index = (_body(corpus, "/") or b"").decode()
    assert index.index('href="/b.html">https://example.org/b?x=1&amp;y=2<') < index.index('href="/a.html"')


def test_a_long_manifest_is_listed_over_several_pages(tmp_path: Path) -> None:
    names = [f"{number}.html" for number in range(1200)]
    files = dict.fromkeys(names, b"<p>")
    _tree(tmp_path, {**files, "manifest.json": json.dumps([{"file": name} for name in names]).encode()})
    corpus = Corpus(CorpusOptions(tmp_path))
    indexes = corpus.paths()[:3]
    assert indexes == ["/", "/index-2.html", "/index-3.html"]
    bodies = [(_body(corpus, path) or b"").decode() for path in indexes]
    assert [body.count("<li>") for body in bodies] == [500, 500, 200]
    assert ["/index-2.html" in bodies[0], "/index-3.html" in bodies[1], "next" in bodies[2]] == [True, True, False]


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (b"{", "cannot be read"),
        (b"{}", "must hold a list"),
        (b'["a.html"]', "entry 0 has no 'file'"),
        (b'[{"file": 3}]', "entry 0 has no 'file'"),
        (b'[{"file": "gone.html"}]', "no file 'gone.html'"),
        (b'[{"file": "../outside.html"}]', "no file '../outside.html' in the directory"),
        (b"[]", "holds no file"),
    ],
)
def test_a_manifest_that_cannot_be_served_is_refused(tmp_path: Path, manifest: bytes, said: str) -> None:
    _tree(tmp_path, {"outside.html": b"", "corpus/manifest.json": manifest})
    with pytest.raises(OptionsRefused, match=said):
        Corpus(CorpusOptions(tmp_path / "corpus"))


def test_a_static_tree_is_served_at_its_paths(tmp_path: Path) -> None:
    files = {"index.html": b"<p>top", "api/index.html": b"<p>api", "api/a b.html": b"<p>ab", "img/x.png": b"png"}
    corpus = Corpus(CorpusOptions(_tree(tmp_path, files)))
    assert corpus.paths() == ["/", "/img/", "/index.html", "/api/a%20b.html", "/api/index.html"]
    assert [_body(corpus, path) for path in ("/", "/api/", "/api/a b.html")] == [b"<p>top", b"<p>api", b"<p>ab"]
    redirect = corpus.resource("/api")
    assert redirect is not None
    assert (redirect.status, redirect.location) == (301, "/api/")
    assert b'href="/img/x.png"' in (_body(corpus, "/img/") or b"")


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.html", "text/html"),
        ("a.css", "text/css"),
        ("a.png", "image/png"),
        ("a.txt", "text/plain"),
        ("a.txt.gz", "application/gzip"),
        ("a.unheard-of", "application/octet-stream"),
    ],
)
def test_a_file_has_the_type_of_its_name(tmp_path: Path, name: str, content_type: str) -> None:
    resource = Corpus(CorpusOptions(_tree(tmp_path, {name: b"x"}))).resource(f"/{name}")
    assert resource is not None
    assert resource.content_type == content_type


def test_links_out_of_the_directory_are_not_served(tmp_path: Path) -> None:
    _tree(tmp_path, {"secret.html": b"secret", "tree/page.html": b"<p>"})
    (tmp_path / "tree" / "out.html").symlink_to(tmp_path / "secret.html")
    (tmp_path / "tree" / "in.html").symlink_to(tmp_path / "tree" / "page.html")
    (tmp_path / "tree" / "up").symlink_to(tmp_path)
    corpus = Corpus(CorpusOptions(tmp_path / "tree"))
    assert corpus.paths() == ["/", "/in.html", "/page.html"]
    for path in ("/out.html", "/../secret.html", "/up/secret.html", "//secret.html"):
        assert corpus.resource(path) is None


def test_a_name_that_is_not_utf8_has_an_address_that_leads_to_it(tmp_path: Path, ask: Callable[..., Any]) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.html")).write_bytes(b"<p>latin")
    with FixtureServer(CorpusOptions(tmp_path)) as site:
        assert site.url_of(1).endswith("/caf%E9.html")
        assert ask(site.url_of(1)).body == b"<p>latin"


def test_a_damaged_file_is_an_answer_of_the_server(tmp_path: Path) -> None:
    resource = Corpus(CorpusOptions(_tree(tmp_path, {"a.html.gz": b"not gzip"}))).resource("/a.html")
    assert resource is not None
    assert resource.status == 500


def test_saved_pages_go_out_packed_or_not_as_the_client_asks(tmp_path: Path, ask: Callable[..., Any]) -> None:
    stored = gzip.compress(b"<p>saved")
    with FixtureServer(CorpusOptions(_tree(tmp_path, {"a.html.gz": stored, "b.html": b"<p>b"}), gzip=True)) as site:
        packed = ask(site.url_of(1), Accept_Encoding="br, gzip")
        assert (packed.headers["Content-Encoding"], packed.body) == ("gzip", stored)
        also_packed = ask(site.url_of(2), Accept_Encoding="gzip")
        assert gzip.decompress(also_packed.body) == b"<p>b"
        plain = ask(site.url_of(1))
        assert (plain.headers["Content-Encoding"], plain.body) == (None, b"<p>saved")
        assert plain.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("path", ["/../secret", "/%2e%2e/secret", "/..%2fsecret", "/a.html%00", "/tree/../../secret"])
def test_no_path_of_a_request_leads_outside(tmp_path: Path, path: str, ask: Callable[..., Any]) -> None:
    _tree(tmp_path, {"secret": b"secret", "tree/a.html": b"<p>"})
    corpus = Corpus(CorpusOptions(tmp_path / "tree"))
    assert corpus.resource(path) is None


@pytest.mark.skipif(not SAVED_PAGES.is_dir(), reason="the saved pages lie outside the repository")
def test_the_saved_pages_are_all_there(ask: Callable[..., Any]) -> None:
    with FixtureServer(CorpusOptions(SAVED_PAGES)) as site:
        manifest = json.loads((SAVED_PAGES / "manifest.json").read_text())
        assert len(site.urls()) == len(manifest) + 1
        for number, entry in enumerate(manifest[:20], start=1):
            answer = ask(site.url_of(number))
            assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html")
            assert len(answer.body) == entry["bytes"]
