"""Everything this package raises on purpose.

    ScraperError
    ├── UsageError                 refused before the first request: what was wrong and what to change
    │   ├── InvalidOption          an option out of its range, or two that contradict each other
    │   ├── InvalidURL             text that is no URL, or whose scheme is not http or https
    │   ├── HandlerNotImportable   a handler that a worker could not import by its name
    │   ├── OutputRefused          an output that cannot be written, or whose format is unknown
    │   ├── StateRefused           a state file that is in use, another crawl's, damaged or no state file at all
    │   ├── CacheRefused           a cache file that is damaged, or no cache at all
    │   └── InterpretersUnsupported  this Python, or a module that the handler imports, has no sub-interpreters
    ├── ParseFailed                a parser could not make a document of a body; its page fails
    │   └── NestingTooDeep         its elements are nested deeper than the parser goes
    ├── HandlerMisuse              a handler asked for something that cannot be had; its page fails
    │   ├── SelectorUnsupported    the page's parser has no such selectors
    │   └── ItemNotPlain           an item that cannot be turned into plain data
    ├── FunctionFailed             a function that ran in a pool gave no value
    ├── WorkerError                the place where parsing runs
    │   ├── WorkerStartFailed      a worker that did not come up
    │   ├── WorkerCrashed          a worker that died under a page
    │   └── ParseTimeout           a page that ran past its deadline
    ├── SinkError                  an output that failed while the crawl ran; stops the crawl
    ├── StateError                 a state file that failed while the crawl ran; stops the crawl
    │   └── StateInDoubt           it is not known whether the last commit is durable
    └── NotRunning                 a pool, crawler or sink used before it was opened or after it was closed

A page that fails raises nothing: its failure is data (`scraper.Failure`). Each class takes one positional
argument, its message, and so survives pickling between processes.
"""

from __future__ import annotations


class ScraperError(Exception):
    """The root: `except ScraperError` catches whatever this package raises on purpose."""


class UsageError(ScraperError, ValueError):
    """Refused before the first request. The message says what was wrong and what to change."""


class InvalidOption(UsageError):
    """An option out of its range, or two that contradict each other."""


class InvalidURL(UsageError):
    """Text that is no URL, or a URL whose scheme is neither http nor https."""


class HandlerNotImportable(UsageError):
    """A handler that cannot be imported by name, as every place that runs handlers has to."""


class OutputRefused(UsageError):
    """An output that cannot be written, or whose format is unknown."""


class StateRefused(UsageError):
    """A state file that this crawl cannot go on with: in use, another crawl's, damaged, or no state file at all."""


class CacheRefused(UsageError):
    """A cache file that cannot be used: damaged, another program's, or not there where nothing else is to be asked."""


class InterpretersUnsupported(UsageError):
    """Python has no interpreters with a GIL of their own, or a module does not load in one, which the message names."""


class ParseFailed(ScraperError):
    """A parser could not make a document of a body. Its page fails; the crawl goes on."""


class NestingTooDeep(ParseFailed):
    """A body nests its elements deeper than the parser goes; the rest of the page would be lost, or take minutes."""


class HandlerMisuse(ScraperError):
    """A handler asked for something that cannot be had. Its page fails; the crawl goes on."""


class SelectorUnsupported(HandlerMisuse):
    """The page's parser has no such selectors; the message names the parsers that do."""


class ItemNotPlain(HandlerMisuse, TypeError):
    """An item holds a value that has no plain form (text, number, bool, None, list, dict)."""


class FunctionFailed(ScraperError):
    """A function that ran in a pool gave no value; the message says why. Raised by `Result.unwrap`."""


class WorkerError(ScraperError):
    """The place where parsing runs failed, not the function that ran there."""


class WorkerStartFailed(WorkerError):
    """A worker did not come up; the message says in one sentence why."""


class WorkerCrashed(WorkerError):
    """A worker process died while it ran this page alone."""


class ParseTimeout(WorkerError):
    """A page ran past its deadline, also alone."""


class SinkError(ScraperError):
    """An output failed while the crawl ran. The crawl stops, because going on would lose items."""


class StateError(ScraperError):
    """The state file failed while the crawl ran. The crawl stops; what was committed before is kept."""


class StateInDoubt(StateError):
    """Whether the last commit is durable is not known, or others go on with the file. The outputs stay as they are."""


class NotRunning(ScraperError, RuntimeError):
    """Used before `async with` opened it or after it was closed."""
