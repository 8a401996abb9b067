"""Disks that are small, read-only or broken."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_SHIM = Path(__file__).with_name("broken_disk.c")


@contextmanager
def small_disk(folder: Path, size_kib: int) -> Iterator[Path]:
    """A file system of its own, so small that it is filled in no time."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, *, but_kib: int = 0) -> Path:
    """Takes all the room there is, but for so much."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
        file.truncate(max(file.tell() - but_kib * 1024, 0))
    return filler


@contextmanager
def read_only_file(path: Path) -> Iterator[None]:
    """A file that not even root may change."""
    change = shutil.which("chattr")
    if change is None or subprocess.run([change, "+i", path], capture_output=True, check=False).returncode:
        pytest.skip("files cannot be made immutable here")
    try:
        yield
    finally:
        subprocess.run([change, "-i", path], check=True)


@contextmanager
def read_only_disk(disk: Path) -> Iterator[None]:
    """A small disk, mounted anew so that nothing may be written."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


class BrokenDisk:
    """Makes system calls on some files fail in a process that was started with the library below.

    Args:
        calls: their names, such as pwrite.
        error: the errno they fail with; 0 lets writes be short instead.
        path_ends: how the paths end whose calls fail.
        switch: a file; they fail as long as it is there.
    """

    def __init__(self, calls: str, error: int, path_ends: str, switch: Path) -> None:
        self.switch = switch
        self.environment = {
            "BROKEN_CALLS": f",{calls},",
            "BROKEN_ERRNO": str(error),
            "BROKEN_PATH_ENDS": path_ends,
            "BROKEN_SWITCH": str(switch),
        }

    def fail(self) -> None:
        self.switch.touch()

    def recover(self) -> None:
        self.switch.unlink()


def build_broken_disk(folder: Path) -> Path:
    """The library that a process has to be started with (LD_PRELOAD) if its disk shall break."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler here")
    library = folder / "broken_disk.so"
    built = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, _SHIM, "-ldl"], capture_output=True, text=True, check=False
    )
    if built.returncode:
        pytest.skip(f"the broken disk does not compile here: {built.stderr[:200]}")
    return library
