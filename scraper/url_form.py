"""The form in which a crawl knows URLs, where it is asked for more than the canonical one. Pure functions over text.

Many spellings of a URL lead to one page: parameters in another order, a note of where the visitor came from, the
number of a session. Which of them matter only the site knows, so each rewriting is a choice of the user's.

Seeds, links and the places that redirects lead to are rewritten before they are compared, and what is fetched is the
rewritten URL. So a URL stays its own key. The other way, to fetch the first spelling and to compare by another,
would keep a second text for each known URL, and what is fetched would depend on which spelling came first.

Not offered, because servers redirect such spellings to one of them, and a page that two requests lead to is kept
once anyway: `/folder` and `/folder/`, `/folder/index.html`, `www.`, http and https.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from urllib.parse import unquote_plus

from scraper import urls
from scraper.model import Outcome, Request
from scraper.options import UrlOptions

_GOOGLE = "utm_* _ga _gl gclid gclsrc gbraid wbraid dclid srsltid"
_MATOMO = "mtm_* pk_campaign pk_cid pk_kwd pk_medium pk_source"
_NETWORKS = (
    "fbclid fb_action_ids fb_comment_id msclkid yclid ymclid ysclid _openstat twclid ttclid igshid li_fat_id irclickid"
)
_MAILINGS = (
    "__hsfp __hssc __hstc _hsenc _hsmi hsctatracking mc_cid mc_eid mkt_tok _kx __s oly_anon_id oly_enc_id vero_conv "
    "vero_id bsft_clkid bsft_uid"
)
_OTHERS = "s_cid s_kwcid _branch_match_id _branch_referrer wickedid rb_clickid guce_referrer guce_referrer_sig"

TRACKING_PARAMETERS = frozenset(f"{_GOOGLE} {_MATOMO} {_NETWORKS} {_MAILINGS} {_OTHERS}".split())
"""Parameters that say where a visitor came from, and nothing of the page.

They are those that Brave takes out of addresses (`components/query_filter` in github.com/brave/brave-core), with
Google's `utm_*` and `_ga`, Matomo's, and the numbers of clicks of LinkedIn and Mailchimp. Names such as `ref` and
`source` are not among them: on some sites they mean something.
"""

# In the path: Java servlets' `;jsessionid=…`, and ASP.NET's folder `/(S(…))`, whose 24 characters are base 32.
_IN_PATH = re.compile(
    r";jsessionid=[^/?;]*|/\((?:[A-Z]\([^()/]*\))*S\([a-z0-5]{24}\)(?:[A-Z]\([^()/]*\))*\)(?=/|$)", re.IGNORECASE
)
# In the query, by name alone: servlets, PHP, ASP, ColdFusion, osCommerce, Zen Cart, xt:Commerce.
_BY_NAME = re.compile(r"jsessionid|phpsessid|aspsessionid[a-z]{8}|cfid|cftoken|oscsid|zenid|xtcsid", re.IGNORECASE)
# These names mean other things as well, so what follows has to be a digest too. Heritrix takes every `sid` of 32
# characters for a session (org.archive.modules.canonicalize.StripSessionIDs).
_BY_VALUE = re.compile(r"(?:sid|sessid|sessionid)=[0-9a-f]{32}", re.IGNORECASE)


class UrlForm:
    """Rewrites canonical URLs. See `url_form`.

    Twice is as good as once: `of(of(url)) == of(url)`.
    """

    def __init__(self, options: UrlOptions) -> None:
        self._is_sorted = options.sort_query
        self._has_no_sessions = options.drop_session_ids
        names = [*options.drop_parameters, *(TRACKING_PARAMETERS if options.drop_tracking else ())]
        # A site has a few dozen names of parameters; the bound is for those that invent them.
        self._is_dropped = lru_cache(maxsize=4_096)(_matcher(names)) if names else None

    def of(self, url: str) -> str:
        """The form of a canonical URL, canonical as well.

        A query that is empty, or becomes so, goes with its question mark.
        """
        if self._has_no_sessions:
            url = _without_session_in_path(url)
        path, mark, query = url.partition("?")
        if not mark:
            return url
        parts = [part for part in query.split("&") if part]
        if self._is_dropped is not None:
            is_dropped = self._is_dropped
            parts = [part for part in parts if not is_dropped(part.partition("=")[0])]
        if self._has_no_sessions:
            parts = [part for part in parts if not _is_session(part)]
        if self._is_sorted:
            parts.sort(key=_name)
        return f"{path}?{'&'.join(parts)}" if parts else path

    def of_request(self, request: Request) -> Request:
        """The request for its URL's form.

        Raises:
            InvalidURL: the request's URL has no canonical form.
        """
        return request.with_url(self.of(urls.canonical(request.url)))

    def of_outcome(self, outcome: Outcome) -> Outcome:
        """The outcome with the forms of the URL that it led to, of its links, each once, and of its requests."""
        return outcome._replace(
            final_url=None if outcome.final_url is None else self.of(outcome.final_url),
            links=tuple(dict.fromkeys(map(self.of, outcome.links))),
            requests=tuple(map(self.of_request, outcome.requests)),
        )


def url_form(options: UrlOptions) -> UrlForm | None:
    """What rewrites URLs as these options say, None if they say nothing: then a canonical URL is its own form."""
    return None if options == UrlOptions() else UrlForm(options)


def without_session(url: str) -> str:
    """A canonical URL without the session ids in its path or query; the same object if there are none."""
    found = _without_session_in_path(url)
    path, _, query = found.partition("?")
    if "=" not in query:
        return found
    parts = query.split("&")
    kept = [part for part in parts if not _is_session(part)]
    if len(kept) == len(parts):
        return found
    return f"{path}?{'&'.join(kept)}" if kept else path


def _without_session_in_path(url: str) -> str:
    if ";" not in url and "/(" not in url:
        return url
    path, mark, query = url.partition("?")
    start = path.index("/", path.index("//") + 2)
    found, before = _IN_PATH.sub("", path[start:]), path[start:]
    if len(found) == len(before):
        return url
    while len(found) < len(before):  # one id may have hidden another
        found, before = _IN_PATH.sub("", found), found
    # What is left may be no canonical path: "/..;jsessionid=1/" or nothing.
    return urls.canonical(f"{path[:start]}{found or '/'}{mark}{query}")


def _is_session(part: str) -> bool:
    name, _, value = part.partition("=")
    return value != "" and (_BY_NAME.fullmatch(name) is not None or _BY_VALUE.fullmatch(part) is not None)


def _name(part: str) -> str:
    return part.partition("=")[0]


def _matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Whether a parameter's name, as it stands in a URL, is one of these, in which `*` stands for any text."""
    matches = re.compile(
        "|".join(re.escape(pattern).replace(r"\*", ".*") for pattern in sorted(patterns)), re.IGNORECASE | re.DOTALL
    ).fullmatch
    return lambda name: matches(unquote_plus(name)) is not None
