"""What limited a crawl, in one word, with the numbers that say so and the one change that would help most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Bottleneck = Literal["latency", "politeness", "fetch_cpu", "gil", "parse_cpu", "commit", "sink", "cores"]

# A resource that is busy for less than this share of the time leaves room: waiting limits the crawl, not work.
_BUSY = 0.8
# Threads that run Python get so little of their wall time as CPU when they wait for each other's lock.
_GIL_WAIT = 0.75
# Shorter crawls spend most of their time in beginning and ending.
_SHORT_S = 1.0
# One lock for all threads means about one core's worth of CPU, and a little for what runs without the lock.
_ONE_LOCK_CORES = 1.2


@dataclass(frozen=True, slots=True)
class Load:
    """What a crawl used, in seconds unless said otherwise.

    Args:
        elapsed_s: wall time.
        loop_cpu_s: CPU of the event loop's thread.
        process_cpu_s: CPU of the process, its threads included.
        worker_wall_s, worker_cpu_s: parsing and extraction.
        fetch_wall_s: of all fetches, added up.
        commit_cpu_s: of the loop's thread, for commits.
        sink_wall_s: waiting for sinks.
        concurrency, per_host, hosts: slots in all, slots a host, hosts met.
        workers, cores: threads or processes that parse; CPUs that may be used.
        executor: where most pages were parsed.
    """

    elapsed_s: float
    loop_cpu_s: float
    process_cpu_s: float
    worker_wall_s: float
    worker_cpu_s: float
    fetch_wall_s: float
    commit_cpu_s: float
    sink_wall_s: float
    concurrency: int
    per_host: int
    hosts: int
    workers: int
    cores: int
    executor: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to "what limits this crawl?".

    Args:
        bottleneck: the resource that ran out first.
        evidence: the numbers.
        advice: the one change that would help most.
        predicted_gain: pages a second after that change, as a multiple of now; the next limit bounds it.
    """

    bottleneck: Bottleneck
    evidence: str
    advice: str
    predicted_gain: float


def judge(load: Load) -> Verdict:
    """Finds the busiest resource. Removing it lets throughput grow until the next busiest one is full, which is
    what `predicted_gain` says.
    """
    elapsed_s = max(load.elapsed_s, 1e-9)
    busy = _busy_shares(load, elapsed_s)
    slots = min(load.concurrency, load.per_host * max(load.hosts, 1))
    waiting = load.fetch_wall_s / (elapsed_s * slots)
    first: Bottleneck = max(busy, key=busy.__getitem__)
    if busy[first] < _BUSY and waiting > busy[first]:
        first = "politeness" if slots < load.concurrency else "latency"
        share, rest = min(waiting, 1.0), list(busy.values())
    else:
        share = busy[first]
        rest = [other for name, other in busy.items() if name != first]
    evidence = _evidence(first, load, share, slots)
    if load.elapsed_s < _SHORT_S:
        return Verdict(first, f"{evidence}; but the crawl was too short to tell", "crawl for longer to learn more", 1.0)
    gain = max(share / max(*rest, share / 8), 1.0)  # beyond eightfold the numbers say nothing
    return Verdict(first, evidence, _advice(first, load), round(gain, 2))


def _busy_shares(load: Load, elapsed_s: float) -> dict[Bottleneck, float]:
    loop = load.loop_cpu_s / elapsed_s
    busy: dict[Bottleneck, float] = {"commit": load.commit_cpu_s / elapsed_s}
    other_processes_s = load.worker_cpu_s if load.executor == "process" else 0.0
    busy["cores"] = (load.process_cpu_s + other_processes_s) / (elapsed_s * load.cores)
    if load.executor == "inline":
        parsing = load.worker_cpu_s / elapsed_s
        # One thread does both. The larger part is what limits it, and it is limited by all that the thread does.
        busy["parse_cpu"], busy["fetch_cpu"] = (loop, loop - parsing) if parsing > loop / 2 else (parsing, loop)
    else:
        busy["fetch_cpu"] = loop - busy["commit"]
        busy["parse_cpu"] = load.worker_wall_s / (elapsed_s * load.workers)
        fights = load.executor == "thread" and load.worker_cpu_s < _GIL_WAIT * load.worker_wall_s
        if fights and busy["cores"] * load.cores < _ONE_LOCK_CORES:
            busy["gil"] = busy.pop("parse_cpu")
    if loop < _BUSY:  # on a busy loop a sink's answer waits for the loop, which says nothing of the sink
        busy["sink"] = load.sink_wall_s / elapsed_s
    return {name: min(max(share, 0.0), 1.0) for name, share in busy.items()}


def _evidence(name: Bottleneck, load: Load, share: float, slots: int) -> str:
    percent = f"{share:.0%}"
    match name:
        case "cores":
            return f"all {load.cores} cores together were {percent} busy with this crawl's own work"
        case "fetch_cpu":
            return f"the event loop's thread was busy {percent} of the time with fetching and bookkeeping"
        case "parse_cpu":
            where = "the event loop" if load.executor == "inline" else f"{load.workers} workers"
            return f"{where} spent {percent} of the time parsing and extracting"
        case "gil":
            used = load.worker_cpu_s / max(load.worker_wall_s, 1e-9)
            return f"threads were parsing {percent} of the time but computed only {used:.0%} of that: one lock for all"
        case "sink":
            return f"commits waited for the outputs {percent} of the time"
        case "commit":
            return f"committing took {percent} of the time"
        case "latency" | "politeness":
            return f"{slots} requests may be under way; {percent} of these slots were waiting for answers"


def _advice(name: Bottleneck, load: Load) -> str:
    match name:
        case "cores":
            return "more cores, or a faster parser (lexbor is the fastest)"
        case "fetch_cpu":
            return "a second crawler process for other hosts; uvloop where it is not installed"
        case "parse_cpu" if load.executor == "inline":
            return "parse beside the event loop: executor process"
        case "parse_cpu":
            return "more workers" if load.workers < load.cores else "a faster parser (lexbor is the fastest)"
        case "gil":
            return "the process executor: this handler's Python holds the GIL"
        case "sink":
            return "a faster output, such as JSON lines on a local disk"
        case "commit":
            return "fewer links a page: follow only what is needed"
        case "latency":
            return "a higher concurrency, if the sites bear it"
        case "politeness":
            return "a higher per-host limit, if the site bears it, or more hosts"
