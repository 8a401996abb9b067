"""What a terminal shows of a crawl's state file."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from scraper.report import figures
from scraper.report.clean import one_line
from scraper.report.terminal import print_lines, reason_lines, unbroken

_SHOWN_SEEDS = 3
_SHOWN = 5  # suspects, and parts of outputs
_MOST_CHARACTERS = 200
# A command that fills its place in the file was cut.
_COMMAND_CHARACTERS = 1_000
_DEFAULT_HANDLER = "scraper.parse.outline:outline"


def print_state(
    console: Console,
    state: Mapping[str, Any],
    *,
    part_path: Callable[[str, int], str],
    now_s: float | None = None,
) -> None:
    """A state file in plain words.

    Args:
        console: where to.
        state: in the form of `scraper state --json`.
        part_path: the path of an output's part.
        now_s: seconds since 1970; None for the present.
    """
    now_s = time.time() if now_s is None else now_s
    lines = [
        *_crawl(state),
        *_counts(state, now_s),
        *reason_lines("Failed", state["failures"], "red"),
        *reason_lines("Skipped", state["skips"], "yellow"),
        *_outputs(state, part_path),
        *_crawlers(state, now_s),
        *_suspects(state),
        *_how_to_go_on(state),
    ]
    print_lines(console, lines)


def _cut(text: object) -> str:
    return one_line(text, at_most=_MOST_CHARACTERS)


def _crawl(state: Mapping[str, Any]) -> list[Text]:
    seeds = [_cut(seed) for seed in state["seeds"][:_SHOWN_SEEDS]]
    more = state["places"] - len(seeds)
    told = ", ".join(seeds) + (f" and {figures.count(more)} more" if more > 0 else "")
    depth = state["max_depth"]
    how = [
        "the outline" if state["handler"] == _DEFAULT_HANDLER else f"handler {_cut(state['handler'])}",
        f"scope {_cut(state['scope'])}",
        "any depth" if depth is None else f"at most {figures.plural(depth, 'link')} from a seed",
    ]
    return [Text.assemble((f"A crawl of {told or 'nothing yet'}", "bold")), Text(f"With {', '.join(how)}.")]


def _counts(state: Mapping[str, Any], now_s: float) -> list[Text]:
    ended = ", ".join(f"{figures.count(state[name])} {name}" for name in ("done", "failed", "skipped", "waiting"))
    lines = [Text(""), Text.assemble((f"{figures.plural(state['seen'], 'page')} seen", "bold"), f": {ended}.")]
    if state["delayed"]:
        lines.append(Text(f"Of the waiting, {_delays(state, now_s)}."))
    hosts = f"{figures.plural(state['items'], 'item')}, {figures.size(state['bytes'])} read"
    lines.append(Text(f"{hosts}, {figures.plural(state['hosts'], 'host')} met, over all runs."))
    return lines


def _delays(state: Mapping[str, Any], now_s: float) -> str:
    number = state["delayed"]
    first, last = (_ahead(state[name], now_s) for name in ("next_due_s", "last_due_s"))
    what = f"{figures.count(number)} {'is' if number == 1 else 'are'} to be tried again"
    return f"{what} {first}" if first == last else f"{what}: the first {first}, the last {last}"


def _ahead(due_s: float, now_s: float) -> str:
    return f"in {figures.seconds(round(due_s - now_s))}" if round(due_s - now_s) > 0 else "now"


def _outputs(state: Mapping[str, Any], part_path: Callable[[str, int], str]) -> list[Text]:
    here = state["items_here"]
    if not state["outputs"] and here is None:
        return []
    lines = [Text(""), Text("Outputs, as far as they are committed", style="bold")]
    if here is not None:
        lines.append(Text(f"  {figures.plural(here, 'row'):>13}  table items of this file"))
    for output in state["outputs"]:
        path = shown_path(part_path(output["path"], output["part"]))
        lines.append(Text(f"  {_extent(output['committed']):>13}  {_cut(path)}"))
    return lines


def _extent(committed: Mapping[str, Any] | None) -> str:
    if committed is None:
        return "nothing yet"
    if "rows" in committed:
        return figures.plural(committed["rows"], "row")
    return figures.size(committed.get("bytes", 0) + committed.get("parts_bytes", 0))


def _crawlers(state: Mapping[str, Any], now_s: float) -> list[Text]:
    if not state["crawlers"]:
        return []
    lines = [Text(""), Text("Who works on it", style="bold")]
    for crawler in state["crawlers"]:
        process, number = crawler["process"], figures.plural(crawler["under_way"], "request")
        since_s = now_s - datetime.fromisoformat(crawler["started"]).replace(tzinfo=UTC).timestamp()
        if crawler["alive"]:
            told = f"  process {process}, for {figures.seconds(max(round(since_s), 0))}, {number} under way"
            lines.append(Text.assemble((told, "green"), ", joined" if crawler["joined"] else ""))
        else:
            told = f"  process {process} is dead; it had {number} under way, which the next crawler tries again"
            lines.append(Text(told, style="red"))
        lines.append(Text(f"    {_cut(_command(crawler['command']))}", style="dim"))
    return lines


def _suspects(state: Mapping[str, Any]) -> list[Text]:
    suspects = [each for each in state["suspects"] if each["is_suspected"]]
    if not suspects:
        return []
    lines = [Text(""), Text("Suspected of crashing the crawler; they are tried one at a time", style="bold")]
    lines += [
        Text(f"  {figures.plural(each['crashes'], 'crash', 'crashes'):>13}  {_cut(each['url'])}")
        for each in suspects[:_SHOWN]
    ]
    if len(suspects) > _SHOWN:
        lines.append(Text(f"{'':15}  and others, which --json lists"))
    return lines


def _how_to_go_on(state: Mapping[str, Any]) -> list[Text]:
    lines = [Text("")]
    alive = [crawler for crawler in state["crawlers"] if crawler["alive"]]
    if not alive and not state["waiting"]:
        lines.append(Text("Nothing waits: the crawl is finished."))
    elif all(crawler["joined"] for crawler in alive):
        lines.append(Text("To help, give the same command with --join:" if alive else "To go on:"))
        known = next((command for crawler in state["crawlers"] if (command := _whole_command(crawler))), None)
        lines.append(_typed(known or _command_for(state)))
        if state["outputs"] and not known:
            options = "--output and --failures" if state["items_here"] is None else "--failures"
            lines.append(Text(f"with the same {options} as before."))
    if state["failed"]:
        retried = "" if alive else "tried again by the same command with --retry-failed, and "
        listing = f"scraper state {shlex.quote(one_line(state['path'], at_most=4_096))} --export failed"
        lines += [Text(f"The failed pages are {retried}listed by:"), _typed(listing)]
    return lines if len(lines) > 1 else []


def _typed(command: str) -> Text:
    return unbroken(f"  {command}", "bold")


def _command_for(state: Mapping[str, Any]) -> str:
    """A command made of what the file knows of its crawl."""
    words = ["scraper", "crawl", "--state", state["path"]]
    if state["handler"] not in (None, _DEFAULT_HANDLER):
        words += ["--handler", state["handler"]]
    if state["scope"] not in (None, "host"):
        words += ["--scope", state["scope"]]
    if state["max_depth"] is not None:
        words += ["--max-depth", str(state["max_depth"])]
    if state["items_here"] is not None:
        words += ["--output", state["path"]]
    return one_line(shlex.join(words), at_most=4_096)


def _whole_command(crawler: Mapping[str, Any]) -> str | None:
    """A stored command, if it can be given to a shell: it was not cut, and its words mean the same there."""
    command = _command(crawler["command"])
    try:
        is_whole = len(crawler["command"]) < _COMMAND_CHARACTERS and shlex.join(shlex.split(command)) == command
    except ValueError:  # a quote that does not end
        return None
    return one_line(command) if is_whole and command.startswith("scraper ") else None


def _command(command: str) -> str:
    """A program that was started by `python -m` has its file's name there."""
    return command.replace("__main__.py", "scraper", 1) if command.startswith("__main__.py") else command


def shown_path(path: str) -> str:
    """A path as short as it can be said: seen from this folder where it lies below."""
    here = str(Path.cwd())
    return os.path.relpath(path, here) if path.startswith(f"{here}{os.sep}") else path
