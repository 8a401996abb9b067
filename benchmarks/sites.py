"""Two real sites for the benchmarks: documentation trees from Debian packages, served by nginx on the loopback.

    python -m benchmarks.sites                 # prepares both and says what they are
    python -m benchmarks.sites --serve heavy   # and serves one until Ctrl-C

A site is closed: it holds a fixed set of pages, and links to pages that were left out are dealt out evenly among those
that were kept. So every crawler fetches exactly the same pages, none of them meets a 404, and a page has as many links
within the site, as relative as they were, as it has in the whole tree.

Where a package cannot be had, synthetic pages of the same size and number stand in for it, and where nginx is missing,
the project's fixture server stands in for that; both are said, since figures from them are not to be compared.
"""

from __future__ import annotations

import argparse
import hashlib
import html
import json
import os
import posixpath
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import lxml.html
import psutil

from fixtures_server.options import CorpusOptions, SiteOptions
from fixtures_server.process import FixtureServer
from fixtures_server.site import SyntheticSite

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE = Path(__file__).resolve().parent.parent / "out" / "sites"
WWW = CACHE / "www"
HREF = re.compile(rb"""(<a\b[^>]*?\shref\s*=\s*)(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
LEADS_ELSEWHERE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:|/|#|\?|$")


class SiteUnavailable(Exception):
    """The package that a site is made of, or the server for it, cannot be had on this machine."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a site is made of.

    Args:
        package: the Debian package, and `folder` the tree of pages within it.
        start: the page where the crawl begins; always kept.
        stand_in: the synthetic site that takes its place where the package is not to be had.
        pages: how many pages to keep, those with the most links; None keeps all.
        min_bytes, max_bytes: the size of the pages to choose from.
    """

    package: str
    folder: str
    stand_in: SiteOptions
    start: str = "index.html"
    pages: int | None = None
    min_bytes: int = 0
    max_bytes: int = 1 << 30


RECIPES = {
    "heavy": Recipe(
        "openjdk-17-doc",
        "usr/share/doc/openjdk-17-jre-headless/api",
        SiteOptions(pages=1500, page_bytes=38_000, links_per_page=150),
        pages=1500,
        min_bytes=20 * 1024,
        max_bytes=60 * 1024,
    ),
    "light": Recipe(
        "postgresql-doc-15",
        "usr/share/doc/postgresql-doc-15/html",
        SiteOptions(pages=1169, page_bytes=14_000, links_per_page=22),
    ),
}


@dataclass(frozen=True, slots=True)
class Site:
    """A prepared site: `paths` are its pages in breadth-first order, the first is where a crawl begins."""

    name: str
    package: str
    paths: tuple[str, ...]
    mean_bytes: int
    min_links: int
    mean_links: float
    mean_distinct_links: float
    digest: str
    is_synthetic: bool = False

    def urls(self, base_url: str) -> list[str]:
        return [f"{base_url}/{path}" for path in self.paths]

    def bodies(self) -> list[bytes]:
        if self.is_synthetic:
            pages = SyntheticSite(RECIPES[self.name].stand_in)
            return [pages.render(number) for number in range(len(self.paths))]
        return [(WWW / path).read_bytes() for path in self.paths]

    def describe(self) -> str:
        return (
            f"{self.name}: {len(self.paths):,} pages of {self.package}, {self.mean_bytes:,} bytes, "
            f"{self.mean_links} links ({self.mean_distinct_links} distinct) on average, at least {self.min_links}; "
            f"digest {self.digest}"
        )


def prepare(name: str) -> Site:
    """The site of this name, from the cache or freshly made; a synthetic one where its package is not to be had."""
    recipe = RECIPES[name]
    manifest = CACHE / f"{name}.json"
    wanted = json.dumps(asdict(recipe))
    if manifest.exists():
        found = json.loads(manifest.read_text())
        if found.pop("recipe") == wanted:
            return Site(**{**found, "paths": tuple(found["paths"])})
    try:
        version, tree = unpack(recipe)
    except SiteUnavailable as reason:
        print(f"{name}: {reason}. Synthetic pages stand in for it.", file=sys.stderr)
        pages = SyntheticSite(recipe.stand_in)
        paths = [path.removeprefix("/") for path in pages.paths()]
        bodies = {path: pages.render(number) for number, path in enumerate(paths)}
        return describe_site(name, "synthetic text", paths, bodies, is_synthetic=True)
    bodies = close(choose_pages(recipe, tree))
    paths = [f"{name}/{path}" for path in breadth_first(bodies, recipe.start)]
    shutil.rmtree(WWW / name, ignore_errors=True)
    for path, body in bodies.items():
        file = WWW / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    site = describe_site(name, version, paths, bodies)
    manifest.write_text(json.dumps({"recipe": wanted, **asdict(site)}))
    return site


def describe_site(
    name: str, package: str, paths: list[str], bodies: dict[str, bytes], *, is_synthetic: bool = False
) -> Site:
    if len(paths) < len(bodies):
        raise SiteUnavailable(f"{package}: {len(bodies) - len(paths)} pages cannot be reached")
    links = [hrefs_of(body) for body in bodies.values()]
    digest = hashlib.sha256()
    for path, body in bodies.items():
        digest.update(path.encode() + b"\0" + body)
    return Site(
        name=name,
        package=package,
        paths=tuple(paths),
        mean_bytes=round(statistics.mean(len(body) for body in bodies.values())),
        min_links=min(len(hrefs) for hrefs in links),
        mean_links=round(statistics.mean(len(hrefs) for hrefs in links), 1),
        mean_distinct_links=round(statistics.mean(len({h.split("#")[0] for h in hrefs}) for hrefs in links), 1),
        digest=digest.hexdigest()[:16],
        is_synthetic=is_synthetic,
    )


def unpack(recipe: Recipe) -> tuple[str, Path]:
    """Downloads and unpacks a package into the cache; nothing is installed. Gives its version and its tree."""
    packages = CACHE / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    if not sorted(packages.glob(f"{recipe.package}_*.deb")):
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise SiteUnavailable("apt-get and dpkg-deb are needed to get the pages")
        got = subprocess.run(
            ["apt-get", "download", recipe.package], cwd=packages, capture_output=True, text=True, check=False
        )
        if got.returncode:
            raise SiteUnavailable(f"apt-get download {recipe.package}: {got.stderr.strip().splitlines()[-1:]}")
    package = max(packages.glob(f"{recipe.package}_*.deb"))
    tree = CACHE / "trees" / package.stem
    if not tree.exists():
        tree.parent.mkdir(exist_ok=True)
        subprocess.run(["dpkg-deb", "-x", package, tree], check=True)
    return package.stem, tree / recipe.folder


def choose_pages(recipe: Recipe, tree: Path) -> dict[str, bytes]:
    """The pages to keep, by path: the start page, and the pages of the right size that have the most links."""
    bodies = {}
    for file in sorted(tree.rglob("*.html")):
        path = file.relative_to(tree).as_posix()
        if path == recipe.start or recipe.min_bytes <= file.stat().st_size <= recipe.max_bytes:
            bodies[path] = file.read_bytes()
    if recipe.pages is None:
        return bodies
    if len(bodies) < recipe.pages:
        raise SiteUnavailable(f"{recipe.package} has only {len(bodies)} pages of the size wanted")
    others = sorted(bodies.keys() - {recipe.start}, key=lambda path: (-len(hrefs_of(bodies[path])), path))
    return {path: bodies[path] for path in sorted([recipe.start, *others[: recipe.pages - 1]])}


def hrefs_of(body: bytes) -> list[str]:
    return [
        str(anchor.attrib["href"]).strip() for anchor in lxml.html.fromstring(body).iter("a") if "href" in anchor.attrib
    ]


def page_target(path: str, href: str) -> str | None:
    """The page within the tree that a relative href means; None if it leads elsewhere or to its own page."""
    if LEADS_ELSEWHERE.match(href):
        return None
    target = unquote(posixpath.normpath(posixpath.join(posixpath.dirname(path), re.split(r"[?#]", href)[0])))
    return None if target.startswith("..") else target


def close(bodies: dict[str, bytes]) -> dict[str, bytes]:
    """The pages with each link to a page that was left out leading to one that was kept, the same one everywhere."""
    kept = list(bodies)
    dealt: dict[str, str] = {}

    def rewrite(path: str, match: re.Match[bytes]) -> bytes:
        href = html.unescape(next(value for value in match.groups()[1:] if value is not None).decode()).strip()
        target = page_target(path, href)
        if target is None or target in bodies:
            return match[0]
        replaced = dealt.setdefault(target, kept[len(dealt) % len(kept)])
        relative = posixpath.relpath(replaced, posixpath.dirname(path) or ".")
        return match[1] + f'"{html.escape(quote(relative))}"'.encode()

    return {path: HREF.sub(partial(rewrite, path), body) for path, body in bodies.items()}


def breadth_first(bodies: dict[str, bytes], start: str) -> list[str]:
    """The pages that are reached from the start page, in order.

    Raises:
        SiteUnavailable: a link leads to a page that is not there.
    """
    order = [start]
    seen = {start}
    for path in order:
        for href in hrefs_of(bodies[path]):
            target = page_target(path, href)
            if target is None or target in seen:
                continue
            if target not in bodies:
                raise SiteUnavailable(f"{path}: the link {href!r} leads to no page")
            seen.add(target)
            order.append(target)
    return order


CONFIG = """
{user}
worker_processes 1;
daemon off;
pid {run}/nginx.pid;
error_log {run}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    types {{ text/html html; }}
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    gzip off;
    keepalive_timeout 60s;
    keepalive_requests 1000000;
    open_file_cache max=10000 inactive=1h;
    client_body_temp_path {run}/tmp;
    proxy_temp_path {run}/tmp;
    fastcgi_temp_path {run}/tmp;
    uwsgi_temp_path {run}/tmp;
    scgi_temp_path {run}/tmp;
    server {{ listen 127.0.0.1:{port}; root {www}; }}
}}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """`pid` is the process that answers the requests."""

    name: str
    base_url: str
    pid: int


@contextmanager
def serve(site: Site) -> Iterator[Server]:
    """Serves a site on the loopback until the block ends, from one process.

    Raises:
        SiteUnavailable: nginx does not start.
    """
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if site.is_synthetic or not nginx:
        if not site.is_synthetic:
            print("nginx is not installed: the fixture server stands in for it.", file=sys.stderr)
        with FixtureServer(RECIPES[site.name].stand_in if site.is_synthetic else CorpusOptions(WWW)) as fixture:
            yield Server("fixtures_server", fixture.url.rstrip("/"), fixture.pid)
        return
    with tempfile.TemporaryDirectory() as run:
        port = free_port()
        # Started by root, nginx would give its worker an account that may not read the cache.
        user = "user root;" if os.geteuid() == 0 else ""
        config = Path(run) / "nginx.conf"
        config.write_text(CONFIG.format(user=user, run=run, port=port, www=WWW))
        # So that nginx ends with this process, however that ends.
        setpriv = shutil.which("setpriv")
        tied = [setpriv, "--pdeathsig", "TERM"] if setpriv else []
        process = subprocess.Popen(
            [*tied, nginx, "-c", str(config), "-p", run, "-e", f"{run}/error.log"], stderr=subprocess.DEVNULL
        )
        try:
            yield Server("nginx", f"http://127.0.0.1:{port}", worker_of(process, port))
        finally:
            process.terminate()
            process.wait(10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def worker_of(master: subprocess.Popen[bytes], port: int) -> int:
    """Waits until nginx answers; gives the process of its worker."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and master.poll() is None:
        workers = psutil.Process(master.pid).children()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            if workers:
                return int(workers[0].pid)
        time.sleep(0.05)
    raise SiteUnavailable("nginx does not start")


def main() -> None:
    parser = argparse.ArgumentParser(description="Prepares the sites of the benchmarks.")
    parser.add_argument("--serve", choices=RECIPES, help="serve this one until Ctrl-C")
    options = parser.parse_args()
    for site in [prepare(name) for name in RECIPES]:
        print(site.describe(), flush=True)
    if options.serve:
        site = prepare(options.serve)
        with serve(site) as server, suppress(KeyboardInterrupt):
            print(site.urls(server.base_url)[0], flush=True)
            signal.pause()


if __name__ == "__main__":
    main()
