"""Why a state file failed, in words that say what to do about it."""

from __future__ import annotations

import errno
import sqlite3

_CAUSES = {
    sqlite3.SQLITE_FULL: "no space left on the disk: make room, then start it again",
    sqlite3.SQLITE_IOERR: "the disk did not read or write (I/O error): what was committed is kept",
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
            return _CAUSES[sqlite3.SQLITE_FULL]
        return (error.strerror or str(error)).lower()
    code = getattr(error, "sqlite_errorcode", None)  # its low byte is the kind, the rest says more of it
    known = None if code is None else _CAUSES.get(code & 0xFF)
    return known or str(error)
