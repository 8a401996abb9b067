"""Where a site's sitemaps begin."""

from __future__ import annotations

from collections.abc import Iterable

from scraper import urls


def sitemaps_of(site_url: str, named: Iterable[str] = ()) -> list[str]:
    """The sitemaps that a site names, which may be on other hosts; if it names none, its /sitemap.xml.

    Args:
        site_url: any URL of the site.
        named: what stands in the Sitemap lines of its robots.txt, absolute or relative.

    Raises:
        InvalidURL: the site's URL cannot be fetched.
    """
    site = urls.origin(urls.canonical(site_url))
    found, _ = urls.join_all(f"{site}/robots.txt", named)
    return found or [f"{site}/sitemap.xml"]
