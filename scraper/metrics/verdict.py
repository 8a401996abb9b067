"""What limits a crawl, in one word, with the numbers that say so and the one change that would help most.

docs/verdict.md explains the method. In short: a resource that is busy nearly all of the time limits the crawl
(the utilisation law of operational analysis: Denning and Buzen, 1978). There are four of them: the thread of the event
loop, the workers, the committer and the CPUs. Where none is, the crawl waits, and what its free slots waited for is
the answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from scraper.metrics.usage import Usage, WaitsFor

Bottleneck = Literal["latency", "politeness", "fetch_cpu", "gil", "parse_cpu", "commit", "sink", "cores"]
_Where = Literal["loop", "workers", "committer", "waiting"]

# From here on a resource counts as full: what is left are gaps between two pieces of work, which grow with chance.
_FULL = 0.8
# The CPUs have no such gaps, but are counted in hundredths of seconds.
_MACHINE_FULL = 0.93
# A crawl that burns so much of a full machine is itself what fills it. Otherwise it must be seen to suffer: to stand in
# the queue for a CPU for so much of the time that it wants one. One other busy thread on two CPUs stays below.
_OWN = 0.75
_LOST = 0.25
# Where that queue was seen, the CPUs need not be full on the average: they are while there is one.
_MACHINE_CROWDED = 0.75
# The GIL counts as what is lacking when the loop finds it taken for so much of the time, or when threads at work wait
# for so much of theirs, although what runs under the GIL adds up to about one CPU: to much more it cannot add up.
_GIL_TAKEN = 0.35
_GIL_WAITING = 0.2
_ONE_CPU = (0.8, 1.3)
# Of the CPU time of parsers in C, what runs under the GIL: two threads parse 1.6 times what one does.
_HELD_IN_C = 0.1
# Less says nothing: there is a sample every quarter of a second, and pages come in portions of up to 16.
_LEAST_S = 0.4
LEAST_PAGES = 16
# In so long a time what was waited for is known well enough from few pages.
_LONG_S = 5.0
_FEW_PAGES = 4
# An answer finds the loop busy twice: with its header and with its body.
_TURNS_A_FETCH = 2
# A commit's writer in a thread does so once, and its thread waits for the GIL as the loop does.
_TURNS_A_COMMIT = 2
# Beyond this the next limit is one that was not looked at.
_MOST_GAIN = 8.0
_LEAST_UTILISATION = 1 / _MOST_GAIN
# MB of HTML a second on one core, real pages (docs/architecture.md).
_PARSER_MB_PER_S = {"lxml": 49.0, "lexbor": 93.0, "html.parser": 6.0, "bs4": 1.4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a crawl used in some part of its time, and what it may use.

    Args:
        used: the difference between the part's end and its beginning.
        concurrency, per_host, hosts: slots in all, slots a host, hosts met.
        workers, cores: threads or processes that parse; CPUs that may be used.
        executor, parser: where most pages were parsed, and by what.
        alternatives: pages a second that each strategy is predicted to reach, by the executor's name, the present
            one among them.
    """

    used: Usage
    concurrency: int
    per_host: int
    hosts: int
    workers: int
    cores: int
    executor: str
    parser: str = ""
    alternatives: Mapping[str, float] = field(default_factory=dict)

    @property
    def host_slots(self) -> int:
        return self.per_host * max(self.hosts, 1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to "what limits this crawl?".

    Args:
        bottleneck: the resource that ran out first.
        evidence: the numbers.
        advice: the one change that would help most.
        predicted_gain: pages a second after that change, as a multiple of now; the next limit bounds it.
        is_certain: False where there was too little to judge by; then the bottleneck is no more than a guess.
        phrase: the bottleneck in a few words with its number.
    """

    bottleneck: Bottleneck
    evidence: str
    advice: str
    predicted_gain: float
    is_certain: bool = True
    phrase: str = ""


def judge(load: Load) -> Verdict:
    """What limits the crawl that this was measured of."""
    used = load.used
    shares = _shares(load)
    found = _find(load, shares)
    evidence, phrase = _evidence(found, load, shares)
    if not _is_enough(used):
        told = f"{max(used.elapsed_s, 0.0):.2f} s and {used.pages:.0f} pages between ramp-up and tail"
        hint = f"; as far as it went, {evidence}" if used.elapsed_s > 0 and used.pages else ""
        advice = "crawl for longer to learn more"
        return Verdict(found.bottleneck, f"too short to tell ({told}){hint}", advice, 1.0, is_certain=False)
    advice, gain = _change(found, load, shares)
    return Verdict(found.bottleneck, evidence, advice, round(min(max(gain, 1.0), _MOST_GAIN), 2), phrase=phrase)


def _is_enough(used: Usage) -> bool:
    return used.elapsed_s >= _LEAST_S and used.pages >= (LEAST_PAGES if used.elapsed_s < _LONG_S else _FEW_PAGES)


@dataclass(frozen=True, slots=True)
class _Found:
    bottleneck: Bottleneck
    where: _Where
    utilisation: float


@dataclass(frozen=True, slots=True)
class _Shares:
    """Shares of the wall time, unless said otherwise.

    Args:
        loop: in which the loop's thread was not free, by what kept it. `cores`: it stood in the queue for a CPU.
            `gil`: other threads had the GIL.
        workers: in which a worker was at work; 0 in line.
        computing: of the workers' time at work, the part on a CPU.
        idling: of the workers' time at work, the part in which they waited for anything but a CPU: the GIL, or what
            the handler waits for. In processes that is known only while CPUs are free.
        lost: of the time in which a worker could run, the part in the queue for a CPU.
        committer: in which a commit was under way, the waiting for the loop left out.
        writing: of `committer`, the part of the sinks.
        machine: of all CPUs, in which they were busy.
        own: CPUs that the crawl kept busy.
        fetching: requests being fetched, in the mean.
        late: of a fetch's time, the part that the loop's lateness explains.
        waits: what the crawl waited for.
    """

    loop: Mapping[Bottleneck, float]
    workers: float
    computing: float
    idling: float
    lost: float
    committer: float
    writing: float
    machine: float
    own: float
    fetching: float
    late: float
    waits: Mapping[WaitsFor, float]

    @property
    def loop_total(self) -> float:
        return min(sum(self.loop.values()), 1.0)


def _shares(load: Load) -> _Shares:
    used = load.used
    elapsed_s = max(used.elapsed_s, 1e-9)
    ticks = max(used.ticks, 1.0)
    lateness_s = used.lateness_s / ticks
    sink_s = max(used.sink_wall_s - used.commits * _TURNS_A_COMMIT * lateness_s, used.sink_cpu_s)
    commit_s = max(used.commit_wall_s - used.sink_wall_s, used.commit_cpu_s)
    own_s = used.process_cpu_s + (used.worker_cpu_s if load.executor == "process" else 0.0)
    busy = _share(used.machine_busy_s, elapsed_s * load.cores)
    queueing_s = _queueing_s(load, busy)
    waits: dict[WaitsFor, float] = {
        "answers": used.answers / ticks,
        "hosts": used.hosts / ticks,
        "links": used.links / ticks,
        "room": used.room / ticks,
    }
    return _Shares(
        loop=_loop_shares(load, elapsed_s, ticks, is_writing=sink_s > elapsed_s / 2),
        workers=0.0 if load.executor == "inline" else _share(used.worker_wall_s, elapsed_s * load.workers),
        computing=_share(used.worker_cpu_s, used.worker_wall_s),
        idling=_idling(load, busy),
        lost=_share(queueing_s, used.worker_cpu_s + queueing_s),
        committer=_share(sink_s + commit_s, elapsed_s),
        writing=_share(sink_s, sink_s + commit_s),
        machine=busy,
        own=min(own_s / elapsed_s, load.cores),
        fetching=used.fetching / ticks,
        late=_share(used.fetches * _TURNS_A_FETCH * lateness_s, used.fetch_wall_s),
        waits=waits,
    )


def _idling(load: Load, machine: float) -> float:
    if load.executor != "thread" and machine >= _MACHINE_FULL:
        return 0.0
    used = load.used
    return _share(used.worker_wall_s - used.worker_cpu_s - _queueing_s(load, machine), used.worker_wall_s)


def _queueing_s(load: Load, machine: float) -> float:
    """The workers' time in the queue for a CPU: counted in threads; in processes, what a full machine lets wait."""
    used = load.used
    if load.executor == "thread":
        return max(used.process_delay_s - used.loop_delay_s, 0.0)
    return max(used.worker_wall_s - used.worker_cpu_s, 0.0) if machine >= _MACHINE_FULL else 0.0


def _loop_shares(load: Load, elapsed_s: float, ticks: float, *, is_writing: bool) -> dict[Bottleneck, float]:
    used = load.used
    parsing_s = used.worker_cpu_s if load.executor == "inline" else 0.0
    rest_s = max(used.loop_cpu_s - parsing_s - used.sink_cpu_s - used.commit_cpu_s, 0.0)
    loop: dict[Bottleneck, float] = {
        "fetch_cpu": _share(rest_s, elapsed_s),
        "parse_cpu": _share(parsing_s, elapsed_s),
        "sink": _share(used.sink_cpu_s, elapsed_s),
        "commit": _share(used.commit_cpu_s, elapsed_s),
        "cores": _share(used.loop_delay_s, elapsed_s),
        "gil": 0.0,
    }
    # A look that found the loop neither computing nor queueing tells of the time that is left beside these two.
    barred = used.barred / ticks * max(1.0 - sum(loop.values()), 0.0)
    others_s = used.process_cpu_s - used.loop_cpu_s - used.worker_cpu_s
    if load.executor == "thread" and used.worker_cpu_s >= others_s:
        loop["gil"] = barred
    elif load.executor == "inline" and used.worker_wall_s > 1.5 * used.worker_cpu_s:
        loop["parse_cpu"] += barred  # the handler waits for something, and the loop with it
    else:
        loop["sink" if is_writing else "fetch_cpu"] += barred
    return loop


def _share(part: float, whole: float) -> float:
    return min(max(part / whole, 0.0), 1.0) if whole > 0 else 0.0


def _find(load: Load, shares: _Shares) -> _Found:
    """The fullest resource if one is full, else what the crawl waited for."""
    candidates = [
        _Found(_loop_cause(shares), "loop", shares.loop_total),
        _Found(_workers_cause(load, shares), "workers", shares.workers),
        _Found("sink" if shares.writing > 0.5 else "commit", "committer", shares.committer),
    ]
    fullest = max(candidates, key=lambda found: found.utilisation)  # the first of equals: the loop makes others wait
    if fullest.utilisation >= _FULL:
        return fullest
    waits_for = max(shares.waits, key=shares.waits.__getitem__)
    if waits_for == "room":
        return fullest
    if waits_for == "links":
        return _longest_step(load, shares, fullest)
    # Slots that are taken wait for their sites, or for a loop that is late for other reasons.
    slots = min(load.concurrency, load.host_slots)
    waiting = _share(shares.fetching * (1.0 - shares.late), slots)
    if waiting < fullest.utilisation and shares.late > 0.5:
        return candidates[0]
    return _Found("latency" if waits_for == "answers" else "politeness", "waiting", waiting)


def _loop_cause(shares: _Shares) -> Bottleneck:
    loop = shares.loop
    largest = max((name for name in loop if name != "cores"), key=loop.__getitem__)
    if largest == "gil":
        return _gil_or_cores(shares)
    lost = _share(loop["cores"], loop["cores"] + _computed(shares))
    return "cores" if shares.machine >= _MACHINE_CROWDED and lost >= _LOST else largest


def _computed(shares: _Shares) -> float:
    return sum(share for name, share in shares.loop.items() if name not in ("cores", "gil"))


def _workers_cause(load: Load, shares: _Shares) -> Bottleneck:
    if load.executor == "thread" and _lacks_gil(load, shares):
        return _gil_or_cores(shares)
    # Threads that hand each other the GIL queue a little for CPUs that are not full: nothing is taken from that.
    is_own = shares.own >= _OWN * load.cores and shares.idling < 0.5
    is_full = shares.machine >= _MACHINE_FULL
    return "cores" if is_full and (is_own or shares.lost >= _LOST) else "parse_cpu"


def _gil_or_cores(shares: _Shares) -> Bottleneck:
    """Threads that take turns with the GIL use one CPU. Where they get less, that is what they lack."""
    return "cores" if shares.machine >= _MACHINE_CROWDED and shares.own < 1.0 - _LOST else "gil"


def _lacks_gil(load: Load, shares: _Shares) -> bool:
    if shares.loop["gil"] >= _GIL_TAKEN:
        return True
    used = load.used
    is_in_c = load.parser in ("lxml", "lexbor")
    released_s = used.parse_cpu_s * (1.0 - _HELD_IN_C) if is_in_c else 0.0
    held = (used.process_cpu_s - released_s) / max(used.elapsed_s, 1e-9)
    return shares.idling >= _GIL_WAITING and _ONE_CPU[0] <= held <= _ONE_CPU[1]


def _longest_step(load: Load, shares: _Shares, fullest: _Found) -> _Found:
    """No page is known that could be fetched beside those under way, so what a page takes is what counts."""
    used = load.used
    steps: dict[Bottleneck, float] = {
        "latency": used.fetch_wall_s * (1.0 - shares.late),
        "parse_cpu": used.worker_wall_s,
        "sink" if shares.writing > 0.5 else "commit": used.commits * _share(used.commit_wall_s, used.commits),
    }
    longest = max(steps, key=steps.__getitem__)
    if longest == "latency":
        return _Found(longest, "waiting", shares.fetching / load.concurrency)
    return fullest


def _evidence(found: _Found, load: Load, shares: _Shares) -> tuple[str, str]:
    """The numbers in a sentence, and in a few words."""
    match found.where:
        case "loop":
            return _loop_evidence(found, load, shares)
        case "workers":
            return _workers_evidence(found, load, shares)
        case "waiting":
            return _waiting_evidence(found, load, shares)
        case _:
            busy = _percent(shares.committer)
            if found.bottleneck == "commit":
                return f"a commit was under way {busy} of the time", f"committing ({busy} of the time)"
            told = f"commits waited for the outputs {_percent(shares.committer * shares.writing)} of the time"
            return told, f"the output (commits wait for it {_percent(shares.committer * shares.writing)} of the time)"


def _loop_evidence(found: _Found, load: Load, shares: _Shares) -> tuple[str, str]:
    name, loop, busy = found.bottleneck, shares.loop, _percent(shares.loop_total)
    part = _percent(loop[name])
    match name:
        case "cores":
            queue = f"the event loop's thread stood in the queue for a CPU {part} of the time"
            told = f"{queue}; {_machine(load, shares)}"
            return told, _crowd(load, shares)
        case "gil":
            return _gil_evidence(load, shares)
        case "parse_cpu":
            told = f"the event loop's thread was busy {busy} of the time, {part} of the time with parsing in line"
            return told, f"parsing in line (event loop {busy} busy)"
        case "sink" | "commit":
            what, short = ("the outputs", "the output") if name == "sink" else ("commits", "committing")
            told = f"the event loop's thread was busy {busy} of the time, {part} of the time with {what}"
            return told, f"{short} ({part} of the event loop's time)"
        case _:
            handing = _share(load.used.handoff_cpu_s, load.used.elapsed_s)
            told = (
                f"the event loop's thread was busy {busy} of the time, {part} of the time with fetching and "
                f"bookkeeping ({_percent(handing)} of the time with handing pages to workers and back)"
            )
            return told, f"fetching (event loop {busy} busy)"


def _gil_evidence(load: Load, shares: _Shares) -> tuple[str, str]:
    told = (
        f"{_workers(load)} parsed {_percent(shares.workers)} of the time, but only {_percent(shares.computing)} of "
        f"that on a CPU: all threads together kept {shares.own:.2f} CPUs busy, and the event loop found the GIL taken "
        f"{_percent(shares.loop['gil'])} of the time"
    )
    return told, f"the GIL ({_workers(load)} and the event loop use {shares.own:.1f} CPUs)"


def _workers_evidence(found: _Found, load: Load, shares: _Shares) -> tuple[str, str]:
    busy = _percent(shares.workers)
    match found.bottleneck:
        case "gil":
            return _gil_evidence(load, shares)
        case "cores":
            told = f"{_workers(load)} parsed {busy} of the time, {_percent(shares.computing)} of that on a CPU"
            return f"{_machine(load, shares)}; {told}", _crowd(load, shares)
        case _:
            told = (
                f"{_workers(load)} parsed and extracted {busy} of the time, {_percent(shares.computing)} of that on a "
                f"CPU; the event loop was {_percent(shares.loop_total)} busy"
            )
            return told, f"parsing ({_workers(load)} {busy} busy)"


def _waiting_evidence(found: _Found, load: Load, shares: _Shares) -> tuple[str, str]:
    used = load.used
    fetch_s = used.fetch_wall_s / max(used.fetches, 1.0)
    site_ms = 1000 * fetch_s * (1.0 - shares.late)
    own = f", the loop's own {1000 * fetch_s * shares.late:.0f} ms left out" if shares.late > 0.05 else ""
    each = f"{site_ms:.0f} ms an answer{own}"
    taken = f"{shares.fetching:.1f} of {load.concurrency} slots"
    if found.bottleneck == "politeness":
        hosts = "1 host" if load.hosts <= 1 else f"{load.hosts} hosts"
        most = f"{'at most ' if _rest(load, shares) else ''}{load.per_host}"
        told = (
            f"{_percent(shares.waits['hosts'])} of the time pages waited only for the turn of their host: "
            f"{hosts}, {most} requests at a time to each; {taken} were taken, {each}"
        )
        return told, f"politeness ({most} at a time to {hosts})"
    if shares.waits["links"] > shares.waits["answers"]:
        told = (
            f"{_percent(shares.waits['links'])} of the time every known page was under way: {taken} were taken, {each}"
        )
        return told, f"the sites' latency ({each}, and few known pages)"
    told = f"{taken} were waiting for answers, {each}; the event loop was {_percent(shares.loop_total)} busy"
    return told, f"the sites' latency ({taken} wait, {site_ms:.0f} ms an answer)"


def _rest(load: Load, shares: _Shares) -> bool:
    """Whether it is not the limit a host that makes pages wait for its turn."""
    return shares.fetching < 0.5 * load.host_slots


def _machine(load: Load, shares: _Shares) -> str:
    own, busy = shares.own, shares.machine * load.cores
    return (
        f"of {load.cores} CPU{'s' * (load.cores > 1)} {busy:.2f} were busy ({_percent(shares.machine)}): "
        f"{own:.2f} with this crawl, {max(busy - own, 0.0):.2f} with other programs"
    )


def _crowd(load: Load, shares: _Shares) -> str:
    own = _percent(shares.own / load.cores)
    return f"CPUs ({load.cores} of them {_percent(shares.machine)} busy, {own} by this crawl)"


def _workers(load: Load) -> str:
    name = load.executor if load.executor in ("thread", "process", "interpreter") else "worker"
    plural = f"{name}es" if name.endswith("s") else f"{name}s"
    return f"1 {name}" if load.workers == 1 else f"{load.workers} {plural}"


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _change(found: _Found, load: Load, shares: _Shares) -> tuple[str, float]:
    """The one change that would help most, and what it would bring."""
    match found.bottleneck:
        case "latency" if shares.waits["links"] > shares.waits["answers"]:
            return "more seeds, such as the pages of a sitemap: links come one after another", _room(load, shares)
        case "latency":
            if load.host_slots < 1.1 * load.concurrency:
                return "a higher concurrency and a higher limit a host, if the sites bear it", _room(load, shares)
            gain = _room(load, shares, load.host_slots / max(shares.fetching, 1.0))
            return f"a concurrency of {math.ceil(load.concurrency * max(gain, 1.1))}, if the sites bear it", gain
        case "politeness":
            if _rest(load, shares):
                return "more hosts at a time; these rest, as they ask for it, are slow, or are out of reach", 1.0
            gain = _room(load, shares, load.concurrency / max(shares.fetching, 1.0))
            return "a higher limit a host, if the site bears it, or more hosts at a time", gain
        case "fetch_cpu":
            return _fetch_change(load, shares)
        case "gil":
            return _elsewhere(load, shares) or _faster(load, shares, "gil")
        case "parse_cpu":
            return _parse_change(load, shares)
        case "commit":
            return "fewer links a page: follow only what is needed", _room(load, shares, without="commit")
        case "sink":
            return "a faster output, such as JSON lines on a local disk", _room(load, shares, without="sink")
        case _:
            return _cores_change(found, load, shares)


def _room(
    load: Load,
    shares: _Shares,
    at_most: float = _MOST_GAIN,
    *,
    without: Bottleneck | None = None,
) -> float:
    """How many times the present throughput the resources other than the one that is relieved have room for.

    Every utilisation grows in proportion to throughput, until one is full.
    """
    loop = sum(share for name, share in shares.loop.items() if name not in (without, "gil"))
    committer = shares.committer
    if without == "sink":
        committer *= 1.0 - shares.writing
    elif without == "commit":
        committer *= shares.writing
    workers = shares.workers if without not in ("parse_cpu", "gil", "cores") else 0.0
    slots = 0.0
    if without is not None:
        slots = _share(shares.fetching * (1.0 - shares.late), min(load.concurrency, load.host_slots))
    room = min(1.0 / max(loop, committer, workers, slots, _LEAST_UTILISATION), at_most)
    return room if without == "cores" else min(room, _cpu_room(load, shares))


def _cpu_room(load: Load, shares: _Shares) -> float:
    """What is free is the crawl's to take, and on a full machine the scheduler gives it half a CPU nevertheless."""
    free = load.cores * (1.0 - shares.machine)
    return max(shares.own + free, 0.5) / max(shares.own, 0.01)


def _fetch_change(load: Load, shares: _Shares) -> tuple[str, float]:
    used = load.used
    if used.handoff_cpu_s > used.loop_cpu_s / 2 and used.handoff_cpu_s > 2 * used.worker_cpu_s:
        left = 1.0 - (used.handoff_cpu_s - used.worker_cpu_s) / max(used.loop_cpu_s, 1e-9)
        return "executor inline: handing a page to a worker costs more than parsing it", 1.0 / max(left, 0.5)
    return "a second crawler process for a part of the hosts", min(2.0, _cpu_room(load, shares))


def _elsewhere(load: Load, shares: _Shares) -> tuple[str, float] | None:
    """Another executor, where it is known or to be expected that it does better."""
    known = load.alternatives
    if known:
        best = max(known, key=known.__getitem__)
        now = known.get(load.executor, load.used.pages / max(load.used.elapsed_s, 1e-9))
        if best == load.executor or known[best] < 1.1 * now:
            return None
        return f"executor {best}: {known[best]:.0f} pages/s are predicted there, {now:.0f} here", known[best] / now
    if load.cores < 2:
        return None
    # What a worker computes for each page stays the same; each process has a CPU and a GIL to itself.
    computing = load.used.worker_cpu_s / max(load.used.elapsed_s, 1e-9)
    without: Bottleneck = "gil" if load.executor == "thread" else "parse_cpu"
    gain = min(_room(load, shares, without=without), load.cores / max(computing, 0.01))
    why = "each has a GIL of its own" if load.executor == "thread" else "beside the event loop instead of on it"
    return f"executor process: {why}", gain


def _parse_change(load: Load, shares: _Shares) -> tuple[str, float]:
    if load.executor == "inline":
        return _elsewhere(load, shares) or _faster(load, shares, "parse_cpu")
    is_waiting = shares.idling > 0.5
    if is_waiting or load.workers < load.cores:
        most = 2 * load.workers if is_waiting else load.cores
        gain = min(most / load.workers, _room(load, shares, without="parse_cpu"))
        why = f": they wait {_percent(shares.idling)} of their time" if is_waiting else ""
        return f"{most} workers instead of {load.workers}{why}", gain
    other = _elsewhere(load, shares) if load.alternatives else None
    return other or _faster(load, shares, "parse_cpu")


def _faster(load: Load, shares: _Shares, without: Bottleneck) -> tuple[str, float]:
    """Less work a page: a faster parser where parsing is most of it, else a cheaper handler."""
    parsing = _share(load.used.parse_wall_s, load.used.worker_wall_s)
    now_mb_per_s = _PARSER_MB_PER_S.get(load.parser, math.inf)
    best = max(_PARSER_MB_PER_S, key=_PARSER_MB_PER_S.__getitem__)
    room = _room(load, shares, without=without)
    if parsing > 0.5 and now_mb_per_s < _PARSER_MB_PER_S[best]:
        left = 1.0 - parsing + parsing * now_mb_per_s / _PARSER_MB_PER_S[best]
        return f"parser {best}: parsing is {_percent(parsing)} of the work on a page", min(room, 1.0 / left)
    what = "parsing" if parsing > 0.5 else "the handler"
    share = max(parsing, 1.0 - parsing)
    gain = min(room, 1.0 / (1.0 - share / 2))
    return f"less work a page: {what} is {_percent(share)} of it; the gain is that of half as much", gain


def _cores_change(found: _Found, load: Load, shares: _Shares) -> tuple[str, float]:
    others = max(shares.machine * load.cores - shares.own, 0.0)
    if others > load.cores * (1.0 - _OWN):
        most = (shares.own + others) / max(shares.own, 0.01)
        gain = min(1.0 / max(1.0 - _lost(found, load, shares), _LEAST_UTILISATION), most)
        return f"CPUs of its own for the crawl: other programs keep {others:.1f} of {load.cores} busy", gain
    if load.parser in ("html.parser", "bs4"):
        advice, gain = _faster(load, shares, "cores")
        if gain > 2.0:
            return advice, gain
    return f"more CPUs; the gain is that of {2 * load.cores}", min(2.0, _room(load, shares, without="cores"))


def _lost(found: _Found, load: Load, shares: _Shares) -> float:
    """The part of what it could compute that the crawl's limiting part computes less, for lack of a CPU."""
    if load.executor == "thread" and shares.loop["gil"] >= _GIL_TAKEN:
        return 1.0 - shares.own
    if found.where == "workers":
        return shares.lost
    return _share(shares.loop["cores"], shares.loop["cores"] + _computed(shares))
