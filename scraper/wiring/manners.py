"""What is asked of every request before it is fetched."""

from __future__ import annotations

from scraper import urls
from scraper.frontier.pace import Pacer
from scraper.model import Failure, Lease, Skip
from scraper.traps import Traps
from scraper.wiring.site_rules import SiteRules


class Manners:
    """Why a URL is not fetched, although it is in scope.

    Args:
        pacer: knows which hosts are out of reach.
        rules: of the sites; None: they are not asked.
        traps: knows what is endless.
    """

    def __init__(self, pacer: Pacer, rules: SiteRules | None, traps: Traps) -> None:
        self._pacer = pacer
        self._rules = rules
        self._traps = traps

    def is_known(self, url: str) -> bool:
        """Whether the verdict can be told; otherwise `learn` comes first."""
        if self._rules is None or self._rules.is_known(url):
            return True
        return self._pacer.given_up(urls.host_port(url)) is not None

    async def learn(self, url: str) -> None:
        """Tries once to find out what the verdict on a URL needs; in vain if the site is to rest first."""
        if self._rules is not None:
            await self._rules.learn(url)

    def verdict(self, lease: Lease) -> Skip | Failure | None:
        """Why a lease is not fetched; None if it is. To be asked once for each."""
        url = lease.request.url
        end = self._of_site(url)
        return self._traps.verdict(url, lease.depth) if end is None and lease.attempt == 1 else end

    def verdict_on_hop(self, url: str) -> Skip | Failure | None:
        """Why a redirect to a URL is not followed; None if it is."""
        return self._of_site(url) or self._traps.lexical(url)

    def _of_site(self, url: str) -> Skip | Failure | None:
        given_up = self._pacer.given_up(urls.host_port(url))
        if given_up is not None or self._rules is None:
            return given_up
        return self._rules.verdict(url)
