"""Why a state file failed, in words that say what to do about it."""

from __future__ import annotations

import errno
import sqlite3

_FULL = "no space left on the disk: make room, then start it again"
_CAUSES = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE: _FULL,  # the index of the log could not grow, for which there is no other cause
    sqlite3.SQLITE_IOERR: "the disk did not read or write (I/O error): look after the disk, then start it again",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore a copy, or name another file to begin anew",
    sqlite3.SQLITE_NOTADB: "it is no SQLite database: name another file",
    sqlite3.SQLITE_READONLY: "it may not be written to: change its permissions",
    sqlite3.SQLITE_PERM: "it may not be written to: change its permissions",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: look at the permissions of the file and its folder",
    sqlite3.SQLITE_BUSY: "another program holds its lock: end that program, then start it again",
    sqlite3.SQLITE_LOCKED: "another program holds its lock: end that program, then start it again",
    sqlite3.SQLITE_TOOBIG: "a value is larger than SQLite stores",
}


def cause_of(error: sqlite3.Error | OSError) -> str:
    """One clause about what went wrong."""
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _FULL
        return (error.strerror or str(error)).lower()
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return str(error)
    if code == sqlite3.SQLITE_ERROR:  # such as a table that is missing
        return f"it is damaged ({error}): restore a copy, or name another file to begin anew"
    return _CAUSES.get(code) or _CAUSES.get(code & 0xFF) or str(error)  # the low byte is the kind


def is_in_doubt(error: sqlite3.Error | OSError) -> bool:
    """Whether a commit that failed so may have become durable: its sync failed, and it stands in the log."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR
