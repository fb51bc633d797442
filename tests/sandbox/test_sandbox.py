"""What a sandboxed process tries and is refused, tried for real in a forked child; and what it keeps."""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import os
import platform
import re
import resource
import signal
import socket
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from fwcheck import sandbox
from fwcheck.sandbox import landlock, seccomp

LIBC = ctypes.CDLL(None, use_errno=True)
FOUND = sandbox.probe()
SECRET = "a secret of the service"


class Place(NamedTuple):
    """Where the attempts are made."""

    work: Path
    image: Path
    key: Path  # may not be read
    pid: int  # of a process outside
    port: int  # where somebody listens
    name: str  # of a socket in the file system


@pytest.fixture
def place(tmp_path: Path) -> Place:
    work, data = tmp_path / "work", tmp_path / "data"
    work.mkdir()
    data.mkdir()
    (data / "key").write_text(SECRET)
    (data / "image").write_text("an image")
    return Place(work, data / "image", data / "key", os.getpid(), 0, str(data / "socket"))


def inside(place: Place, attempts: dict[str, Callable[[Place], object]], enter: bool = True) -> dict[str, str]:
    """What becomes of each attempt in a forked child: "done", or the name of the error."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        with os.fdopen(reading) as stream:
            said = stream.read()
        _, status = os.waitpid(child, 0)
        assert status == 0
        held: dict[str, str] = json.loads(said)
        return held
    try:
        if enter:
            sandbox.enter(sandbox.Permissions(read=(place.image,), write=(place.work,)))
        results = {}
        for name, attempt in attempts.items():
            try:
                attempt(place)
                results[name] = "done"
            except OSError as error:
                results[name] = type(error).__name__ if error.errno in {1, 13} else f"{error}"
            except Exception as error:  # noqa: BLE001  # told, whatever it is
                results[name] = repr(error)
        os.write(writing, json.dumps(results).encode())
    finally:
        os._exit(0)


def call(name: str, *arguments: object) -> int:
    """A system call by its name in the table; raises OSError."""
    number = seccomp.REFUSED[name][0 if platform.machine() == "x86_64" else 1]
    result = int(LIBC.syscall(ctypes.c_long(number or 0), *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def outlives(_: Place) -> None:
    if LIBC.prctl(1, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


FILES: dict[str, Callable[[Place], object]] = {
    "read the key of the service": lambda at: at.key.read_bytes(),
    "list its folder": lambda at: list(at.key.parent.iterdir()),
    "read it through a link": lambda at: [(at.work / "l").symlink_to(at.key), (at.work / "l").read_bytes()],
    "read it through /proc": lambda at: Path(f"/proc/self/root{at.key}").read_bytes(),
    "move it to its own folder": lambda at: at.key.rename(at.work / "key"),
    "a second name for it": lambda at: os.link(at.key, at.work / "key"),
    "write over it": lambda at: at.key.write_text("x"),
    "write a file beside it": lambda at: (at.key.parent / "new").write_text("x"),
    "write to the image": lambda at: at.image.write_text("x"),
    "remove the image": lambda at: at.image.unlink(),
    "make a directory in /tmp": lambda _: tempfile.mkdtemp(dir="/tmp"),
    "the environment of its parent": lambda at: Path(f"/proc/{at.pid}/environ").read_bytes(),
    "the command of its parent": lambda at: Path(f"/proc/{at.pid}/cmdline").read_bytes(),
    "the memory of its parent": lambda at: Path(f"/proc/{at.pid}/mem").read_bytes(),
    "the files of the system": lambda _: Path("/etc/passwd").read_bytes(),
    "run a program": lambda _: os.execv("/bin/true", ["true"]),
}
CUT = {"cut the image short": lambda at: os.truncate(at.image, 0)}
SIGNALS = {"stop its parent": lambda at: os.kill(at.pid, 0)}
CALLS: dict[str, Callable[[Place], object]] = {
    "TCP": lambda _: socket.socket(socket.AF_INET),
    "TCP over IPv6": lambda _: socket.socket(socket.AF_INET6),
    "UDP": lambda _: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "a socket of the file system": lambda _: socket.socket(socket.AF_UNIX),
    "run a program by its descriptor": lambda _: os.execve(os.open("/bin/true", os.O_PATH), ["true"], {}),
    "be traced": lambda at: call("ptrace", 16, at.pid, 0, 0),
    "read another process": lambda at: call("process_vm_readv", at.pid, 0, 0, 0, 0, 0),
    "a descriptor of another process": lambda at: call("pidfd_open", at.pid, 0),
    "another root": lambda at: os.chroot(at.work),
    "a mount": lambda at: call("mount", 0, str(at.work).encode(), b"tmpfs", 0, 0),
    "namespaces of its own": lambda _: call("unshare", ctypes.c_int(0x10000000)),
    "a session of its own": lambda _: os.setsid(),
    "a group of its own": lambda _: os.setpgid(0, 0),
    "another user": lambda _: os.setuid(os.getuid()),
    "the limits of its parent": lambda at: resource.prlimit(at.pid, resource.RLIMIT_CORE),
    "calls through a ring": lambda _: call("io_uring_setup", 1, 0),
    "programs in the kernel": lambda _: call("bpf", 0, 0, 0),
    "keys of the user": lambda _: call("keyctl", 0, 0),
    "memory of others": lambda _: call("shmget", 1, 4096, 0o1600),
    "rights of files": lambda at: at.key.chmod(0o644),
    "times of files": lambda at: os.utime(at.key),
    "to outlive its parent": outlives,
}
KEPT: dict[str, Callable[[Place], object]] = {
    "the image": lambda at: at.image.read_bytes(),
    "its folder": lambda at: [(at.work / "a").write_text("x"), (at.work / "a").rename(at.work / "b"), (at.work / "b").unlink()],
    "files without a name": lambda at: nameless(at.work),
    "a database in its folder": lambda at: database(at.work / "facts"),
    "libraries that are loaded late": lambda _: __import__("xml.dom.minidom"),
    "random bytes": lambda _: os.urandom(8),
    "its own memory": lambda _: Path("/proc/self/statm").read_text(),
    "limits of its own": lambda _: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    "processes of its own": lambda _: processes(),
}


def nameless(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"x")


def database(path: Path) -> None:
    base = sqlite3.connect(path)
    base.execute("PRAGMA journal_mode = WAL")
    base.execute("CREATE TABLE a (b)")
    base.execute("INSERT INTO a VALUES (1)")
    base.commit()
    base.close()


def processes() -> None:
    """One that answers, and one that is killed."""
    here, there = multiprocessing.get_context("fork").Pipe()
    process = multiprocessing.get_context("fork").Process(target=there.send, args=("x",))
    process.start()
    assert here.recv() == "x"
    process.join()
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.skipif(FOUND.landlock == 0, reason="this kernel has no Landlock")
def test_files_outside_stay_closed(place: Place) -> None:
    wanted = {**FILES, **(CUT if FOUND.landlock >= 3 else {}), **(SIGNALS if FOUND.landlock >= 6 else {})}
    results = inside(place, wanted)
    assert {name: said for name, said in results.items() if said != "PermissionError" and not crosses(said)} == {}
    assert place.key.read_text() == SECRET
    assert place.image.read_text() == "an image"


def crosses(said: str) -> bool:
    """Moving between directories without the right to is refused as if they were two disks."""
    return "Invalid cross-device link" in said


@pytest.mark.skipif(not FOUND.seccomp, reason=" ".join(FOUND.gaps) or "-")
def test_calls_without_a_use_are_refused(place: Place) -> None:
    assert {name: said for name, said in inside(place, CALLS).items() if said != "PermissionError"} == {}


@pytest.mark.skipif(FOUND.landlock < 4, reason="this kernel has no Landlock for the network")
def test_without_a_filter_the_network_is_closed_all_the_same(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "_MACHINES", {})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        there = place._replace(port=listener.getsockname()[1])
        tries: dict[str, Callable[[Place], object]] = {
            "connect": lambda at: socket.create_connection(("127.0.0.1", at.port)),
            "listen": lambda _: socket.create_server(("127.0.0.1", 0)),
            "run": lambda _: os.execv("/bin/true", ["true"]),
        }
        assert inside(there, {"connect": tries["connect"]}, enter=False) == {"connect": "done"}
        assert set(inside(there, tries).values()) == {"PermissionError"}


def test_what_reading_an_image_needs_is_kept(place: Place) -> None:
    assert set(inside(place, KEPT).values()) == {"done"}


def test_the_attempts_would_work_outside(place: Place) -> None:
    """Else their being refused would prove nothing; only what is harmless to try."""
    harmless = (
        "read the key of the service",
        "write a file beside it",
        "the environment of its parent",
        "the files of the system",
    )
    assert set(inside(place, {name: FILES[name] for name in harmless}, enter=False).values()) == {"done"}
    plain = ("TCP", "UDP", "a group of its own", "rights of files", "the limits of its parent", "to outlive its parent")
    assert set(inside(place, {name: CALLS[name] for name in plain}, enter=False).values()) == {"done"}


@pytest.mark.parametrize("held", [0, 1, 2, 3, 5])
def test_an_older_kernel_gives_what_it_has_and_the_rest_is_told(place: Place, held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if held > FOUND.landlock:
        pytest.skip("this kernel is older still")
    monkeypatch.setattr(landlock, "version", lambda: held)
    told = sandbox.gaps()
    assert told
    assert ("no Landlock" in told[0]) == (held == 0)
    results = inside(place, {"key": FILES["read the key of the service"], "image": KEPT["the image"]})
    assert results == {"key": "PermissionError" if held else "done", "image": "done"}


def test_a_machine_without_a_table_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    assert any("vax" in each for each in sandbox.gaps())
    assert inside(place, {"image": KEPT["the image"]}) == {"image": "done"}


HEADERS = {"x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "aarch64": "/usr/include/asm-generic/unistd.h"}


@pytest.mark.parametrize("machine", HEADERS)
def test_numbers_are_those_of_the_headers(machine: str) -> None:
    path = Path(HEADERS[machine])
    if not path.exists():
        pytest.skip(f"needs {path} (apt-get install linux-libc-dev)")
    known = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text()))
    column = list(HEADERS).index(machine)
    special = {
        "clone": seccomp._CLONE, "clone3": seccomp._CLONE3, "prlimit64": seccomp._PRLIMIT, "prctl": seccomp._PRCTL,
        "ioctl": seccomp._IOCTL,
    }  # fmt: skip
    ours = {name: numbers[column] for name, numbers in {**seccomp.REFUSED, **special}.items()}
    told = {name: int(known[name]) if name in known else None for name in ours}
    newer = {"fchmodat2"}  # than the headers of some systems
    assert {name: number for name, number in ours.items() if name not in newer} == {
        name: number for name, number in told.items() if name not in newer
    }
    assert len({number for number in ours.values() if number is not None}) == sum(each is not None for each in ours.values())


@pytest.mark.parametrize("machine", HEADERS)
def test_a_filter_is_within_what_the_kernel_takes(machine: str) -> None:
    code = seccomp._program(seccomp._MACHINES[machine])
    assert len(code) % 8 == 0
    assert len(code) // 8 < 4096
