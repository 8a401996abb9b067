"""What is asked of every request before it is fetched."""

from __future__ import annotations

from scraper import urls
from scraper.frontier.pace import Pacer
from scraper.model import Failure, Skip
from scraper.wiring.site_rules import SiteRules


class Manners:
    """Why a URL is not fetched, although it is in scope.

    Args:
        pacer: knows which hosts are out of reach.
        rules: of the sites; None: they are not asked.
    """

    def __init__(self, pacer: Pacer, rules: SiteRules | None) -> None:
        self._pacer = pacer
        self._rules = rules

    def is_known(self, url: str) -> bool:
        """Whether `verdict` can tell; otherwise `learn` comes first."""
        return self._rules is None or self._rules.is_known(url)

    async def learn(self, url: str) -> None:
        """Finds out what `verdict` needs."""
        if self._rules is not None:
            await self._rules.learn(url)

    def verdict(self, url: str) -> Skip | Failure | None:
        """Why a URL of a known site is not fetched; None if it is."""
        given_up = self._pacer.given_up(urls.host_port(url))
        if given_up is not None or self._rules is None:
            return given_up
        return self._rules.verdict(url)
