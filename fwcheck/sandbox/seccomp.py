"""A seccomp filter: system calls that reading an image has no use for fail with EPERM.

Source: seccomp(2), linux/seccomp.h, linux/filter.h, linux/audit.h; the numbers are those of asm/unistd_64.h and of
asm-generic/unistd.h. The list names what is refused and not what is allowed: a newer libc must not break a scan, and what
files may be opened is Landlock's business.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import struct
import sys
from typing import NamedTuple

_PR_SET_SECCOMP, _MODE_FILTER, _PR_SET_PDEATHSIG = 22, 2, 1
_GET_ACTION_AVAIL = 2
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_OF, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF: ld abs word; jeq, jge, jset, ret with k
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000  # __X32_SYSCALL_BIT
_NAMESPACES = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C


class _Machine(NamedTuple):
    audit: int  # AUDIT_ARCH_...
    column: int
    seccomp: int  # the number of seccomp(2)


_MACHINES = {"x86_64": _Machine(0xC000003E, 0, 317), "aarch64": _Machine(0xC00000B7, 1, 277)}

# Name to number on x86_64 and on aarch64; None: the architecture never had it.
REFUSED: dict[str, tuple[int, int | None]] = {
    # talking to anybody; socketpair stays: workers are spoken to over one
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    # starting programs
    "execve": (59, 221), "execveat": (322, 281), "uselib": (134, None),
    # looking into other processes, and leaving the group that is killed at the end
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "kcmp": (312, 272), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "setsid": (112, 157), "setpgid": (109, 154), "move_pages": (279, 239), "migrate_pages": (256, 238),
    # other views of the system
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "setns": (308, 268),
    "unshare": (272, 97), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "open_tree": (428, 428), "move_mount": (429, 429), "mount_setattr": (442, 442), "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264), "mknod": (133, None), "mknodat": (259, 33), "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "fanotify_init": (300, 262), "lookup_dcookie": (212, 18),
    # other identities
    "setuid": (105, 146), "setgid": (106, 144), "setreuid": (113, 145), "setregid": (114, 143), "setresuid": (117, 147),
    "setresgid": (119, 149), "setgroups": (116, 159), "setfsuid": (122, 151), "setfsgid": (123, 152), "capset": (126, 91),
    # memory and messages that other processes of the user share
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semctl": (66, 191),
    "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187), "mq_open": (240, 180),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    # metadata of files, which Landlock does not guard
    "chmod": (90, None), "fchmodat": (268, 53), "chown": (92, None), "lchown": (94, None), "fchownat": (260, 54),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "removexattr": (197, 14), "lremovexattr": (198, 15),
    "utime": (132, None), "utimes": (235, None), "utimensat": (280, 88), "futimesat": (261, None), "fchmodat2": (452, 452),
    # doors into the kernel
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142),
    "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "syslog": (103, 116), "vhangup": (153, 58),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    "sethostname": (170, 161), "setdomainname": (171, 162), "personality": (135, 92), "iopl": (172, None),
    "ioperm": (173, None), "modify_ldt": (154, None),
}  # fmt: skip
_CLONE, _CLONE3, _PRLIMIT, _PRCTL, _IOCTL = (56, 220), (435, 435), (302, 261), (157, 167), (16, 29)


def missing() -> tuple[str, ...]:
    """What keeps the filter from being set here: a sentence, or nothing."""
    machine = _machine()
    if machine is None:
        return (f"system calls: no filter is known for {platform.machine()}",)
    libc = ctypes.CDLL(None, use_errno=True)
    action = ctypes.c_uint32(_ERRNO)
    if libc.syscall(ctypes.c_long(machine.seccomp), _GET_ACTION_AVAIL, 0, ctypes.byref(action)) != 0:
        return ("system calls: the kernel has no seccomp filters",)
    return ()


def restrict() -> None:
    """From now on this thread and what it forks get EPERM for the calls of ``REFUSED``. Raises OSError."""
    machine = _machine()
    if machine is None:
        raise OSError(errno.ENOSYS, f"no filter for {platform.machine()}")
    code = _program(machine)
    held = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(held))  # struct sock_fprog
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), ctypes.c_char_p(program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _machine() -> _Machine | None:
    fits = sys.byteorder == "little" and sys.maxsize > 1 << 32
    return _MACHINES.get(platform.machine()) if fits else None


class _Line(NamedTuple):
    code: int
    k: int
    yes: str = ""  # where to go when the comparison holds; "": on to the next line
    no: str = ""


def _program(machine: _Machine) -> bytes:
    """The filter in the kernel's form: eight bytes for each instruction."""

    def number(call: tuple[int, int | None]) -> int | None:
        return call[machine.column]

    def argument(at: int) -> _Line:
        return _Line(_LOAD, _ARGUMENTS + 8 * at)  # the low half: little-endian

    lines: list[_Line | str] = [_Line(_LOAD, _ARCHITECTURE), _Line(_EQUAL, machine.audit, no="kill"), _Line(_LOAD, _NUMBER)]
    if machine.column == 0:
        lines.append(_Line(_AT_LEAST, _X32, yes="refuse"))
    for call, label in ((_CLONE, "clone"), (_PRLIMIT, "prlimit"), (_PRCTL, "prctl"), (_IOCTL, "ioctl")):
        lines.append(_Line(_EQUAL, call[machine.column], yes=label))
    lines.append(_Line(_EQUAL, _CLONE3[machine.column], yes="absent"))  # its flags lie in memory: libc falls back to clone
    lines += [_Line(_EQUAL, each, yes="refuse") for each in map(number, REFUSED.values()) if each is not None]
    lines += ["allow", _Line(_RETURN, _ALLOW)]
    lines += ["refuse", _Line(_RETURN, _ERRNO | errno.EPERM), "absent", _Line(_RETURN, _ERRNO | errno.ENOSYS)]
    lines += ["kill", _Line(_RETURN, _KILL_PROCESS)]
    lines += ["clone", argument(0), _Line(_ANY_OF, _NAMESPACES, yes="no", no="yes")]
    lines += ["prlimit", argument(0), _Line(_EQUAL, 0, yes="yes", no="no")]  # its own limits alone
    lines += ["ioctl", argument(1), _Line(_EQUAL, _TIOCSTI, yes="no"), _Line(_EQUAL, _TIOCLINUX, yes="no", no="yes")]
    # It may not outlive its parent: the signal for that can be set anew, and not be given up.
    lines += ["prctl", argument(0), _Line(_EQUAL, _PR_SET_PDEATHSIG, no="yes")]
    lines += [argument(1), _Line(_EQUAL, signal.SIGKILL, yes="yes", no="no")]
    lines += ["yes", _Line(_RETURN, _ALLOW), "no", _Line(_RETURN, _ERRNO | errno.EPERM)]
    return _assembled(lines)


def _assembled(lines: list[_Line | str]) -> bytes:
    """Labels become distances."""
    places: dict[str, int] = {}
    program: list[_Line] = []
    for line in lines:
        if isinstance(line, str):
            places[line] = len(program)
        else:
            program.append(line)

    def distance(at: int, label: str) -> int:
        return places[label] - at - 1 if label else 0

    return b"".join(
        struct.pack("=HBBI", line.code, distance(at, line.yes), distance(at, line.no), line.k) for at, line in enumerate(program)
    )
