"""What was asked of the server: the last requests in memory, all of them in a file where one is wanted."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from fixtures_server.request import Headers

CONTROL_PREFIX = "/-/"  # requests to the server itself, by which a test reads the log; they are not in it

# A record is about 200 bytes, so a full log is 40 MB. No test makes more requests, and a soak test has the file.
_KEPT_RECORDS = 200_000


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One request as the server saw it.

    time_s: when the last byte of its head was read, or of its body if it has one, in seconds since the epoch. It is
        taken from a monotonic clock: the distance of two entries of one log is exact.
    duration_s: from then until the last of its answer was handed to the kernel. The clock is read just before that, so
        no client has an answer before its entry ends. Until the connection broke, where that came first; None while
        the request is under way
    path: path and query, as they were sent
    status: of the answer; 0 where no status line was sent
    sent_bytes: of the answer, its head included
    connection: the number of the connection that it came on
    headers: as they were sent, names in lower case
    retry_after_s: what the answer's Retry-After asked to wait; None without one
    """

    time_s: float
    duration_s: float | None
    method: str
    host: str
    path: str
    status: int
    sent_bytes: int
    connection: int
    user_agent: str
    headers: tuple[tuple[str, str], ...]
    retry_after_s: float | None = None

    @classmethod
    def from_json(cls, line: str | bytes) -> LogEntry:
        """The entry of one line of a log file. Fields that this version does not know are left out."""
        values: dict[str, Any] = json.loads(line)
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        known["headers"] = tuple((name, value) for name, value in known["headers"])
        return cls(**known)


def read_log(file: str | os.PathLike[str]) -> list[LogEntry]:
    """The entries of a log file, without their header lines, which take most of the room.

    Raises OSError where it cannot be read, and ValueError where it is none.
    """
    entries = []
    with open(file, "rb") as lines:  # noqa: PTH123 -- a path of any kind
        for line in lines:
            entry = LogEntry.from_json(line)
            host, agent = sys.intern(entry.host), sys.intern(entry.user_agent)
            entries.append(replace(entry, host=host, user_agent=agent, headers=()))
    return entries


class Record:
    """A request under way: what the log keeps of it, made into an entry when somebody asks."""

    __slots__ = (
        "connection",
        "duration_s",
        "end_s",
        "headers",
        "method",
        "retry_after_s",
        "sent_bytes",
        "start_s",
        "status",
        "target",
    )

    def __init__(self, connection: int, method: str, target: str, headers: Headers) -> None:
        self.connection = connection
        self.method = method
        self.target = target
        self.headers = headers
        self.start_s = time.monotonic()
        self.end_s: float | None = None  # of what was sent so far; None while more is certain to come
        self.duration_s: float | None = None
        self.status = 0
        self.sent_bytes = 0
        self.retry_after_s: float | None = None

    def hand_over(self) -> None:
        """Note that more of the answer is about to be handed to the kernel: it ends there, unless more follows."""
        self.end_s = time.monotonic()

    def go_on(self) -> None:
        """Note that the answer did not end with what was handed over so far."""
        self.end_s = None


class AccessLog:
    """Keeps the records of the last requests; with a file, writes each as a line of JSON when it has been answered.

    The file costs about as much as the answer itself, so a benchmark does without.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file
        self._records: deque[Record] = deque(maxlen=_KEPT_RECORDS)
        # Monotonic times are cheap and never run backwards; people want to read the time of day.
        self._epoch_s = time.time() - time.monotonic()

    def begin(self, connection: int, method: str, target: str, headers: Headers) -> Record:
        """Note a request that has arrived; so a request that is never answered is in the log, too."""
        record = Record(connection, method, target, headers)
        self._records.append(record)
        return record

    def finish(self, record: Record) -> None:
        """Note that a request was answered, or that its connection is gone. Only the first call counts."""
        if record.duration_s is not None:
            return
        record.duration_s = (time.monotonic() if record.end_s is None else record.end_s) - record.start_s
        if self._file is not None and not record.target.startswith(CONTROL_PREFIX):
            self._file.write(self._json_line(record))

    def clear(self) -> None:
        """Forget the records in memory."""
        self._records.clear()

    def json_lines(self) -> str:
        """Every record in memory, the oldest first, a line each."""
        asked_for = (record for record in self._records if not record.target.startswith(CONTROL_PREFIX))
        return "".join(map(self._json_line, asked_for))

    def _json_line(self, record: Record) -> str:
        headers = record.headers
        entry = LogEntry(
            time_s=self._epoch_s + record.start_s,
            duration_s=record.duration_s,
            method=record.method,
            host=headers.host,
            path=record.target,
            status=record.status,
            sent_bytes=record.sent_bytes,
            connection=record.connection,
            user_agent=headers.user_agent,
            headers=headers.items,
            retry_after_s=record.retry_after_s,
        )
        return json.dumps(asdict(entry)) + "\n"
