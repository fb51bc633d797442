"""Control flow, variables and lookup: the special and regular built-ins of POSIX.1-2017, XCU 2.14."""

from __future__ import annotations

import posixpath

from fwcheck.device.shell.patterns import known
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import RUN_LIMIT, Call, Handler, Run, Status

# Presumed to work on a device that works: their failing is not a configuration.
_PRESUMED = """
: alias arping arp brctl chgrp chmod chown clear dd depmod dmesg ebtables ethtool flash_eraseall fsck halt hostname hwclock
ifconfig insmod install ip ip6tables iptables iptables-restore iptables-save iw iwconfig iwpriv kill killall klogctl
kmodloader loadkmap load_modules logger lock losetup mkfifo mke2fs mknod mkswap modprobe mtd nvram_set passwd pivot_root
poweroff reboot renice rmmod route setfont setterm sleep stty swapoff swapon swconfig sync sysctl trap tc tput tune2fs
udevadm ulimit umask umount usleep vconfig wait wifi times hash chpasswd devmem reg io uptime ubiattach ubimkvol ubidetach
nanddump flashcp ldconfig himm
""".split()  # noqa: SIM905 -- a table of names
# What these answer, or print, only the running device knows.
_UNDECIDED = """
nvram nvram_get getcfg ps ping ubus jsonfilter find wc tr sort uniq md5sum sha256sum hexdump strings let mountpoint findmnt df
stat blkid lsblk lsmod du fuser savelog testparm lsusb lspci date
""".split()  # noqa: SIM905 -- a table of names


def _true(_shell: Shell, _call: Call) -> Status:
    return True


def _false(_shell: Shell, _call: Call) -> Status:
    return False


def undecided(shell: Shell, _call: Call) -> Status:
    shell.write(UNKNOWN)
    return None


def _exit(shell: Shell, call: Call) -> Status:
    shell.status = _given(call.fields, shell)
    shell.leave(("exit",))
    return None


def _return(shell: Shell, call: Call) -> Status:
    shell.status = _given(call.fields, shell)
    shell.leave(("return",))
    return None


def _given(fields: list[str], shell: Shell) -> Status:
    if len(fields) < 2:
        return shell.status
    return fields[1].strip() == "0" if known(fields[1]) else None


def _break(shell: Shell, call: Call) -> Status:
    shell.leave(("break",), _count(call.fields))
    return True


def _continue(shell: Shell, call: Call) -> Status:
    shell.leave(("continue",), _count(call.fields))
    return True


def _count(fields: list[str]) -> int:
    return int(fields[1]) if len(fields) > 1 and fields[1].isdigit() and len(fields[1]) < 3 else 1


def _local(shell: Shell, call: Call) -> Status:
    frame = next((frame for frame in reversed(shell.frames) if frame.kind == "return"), None)
    for text in call.fields[1:]:
        name, equals, value = text.partition("=")
        if frame is not None:
            frame.saved.setdefault(name, shell.variables.get(name))
        shell.variables[name] = value if equals else ""
    return True


def _export(shell: Shell, call: Call) -> Status:
    for text in call.fields[1:]:
        name, equals, value = text.partition("=")
        if not text.startswith("-"):
            shell.exported.add(name)
            if equals:
                shell.variables[name] = value
    return True


def _unset(shell: Shell, call: Call) -> Status:
    for name in call.fields[1:]:
        if "-f" in call.fields:
            shell.functions.pop(name, None)
        else:
            shell.variables[name] = None
    return True


def _set(shell: Shell, call: Call) -> Status:
    rest = call.fields[1:]
    while rest and rest[0][:1] in "-+" and rest[0] != "--" and len(rest[0]) > 1:
        rest = rest[2:] if rest[0] in ("-o", "+o") else rest[1:]
    if rest or "--" in call.fields:
        shell.args = rest[1:] if rest[:1] == ["--"] else rest
    return True


def _shift(shell: Shell, call: Call) -> Status:
    count = _count(call.fields)
    if count > len(shell.args):
        return False
    shell.args = shell.args[count:]
    return True


def _read(shell: Shell, call: Call) -> Status:
    names = [name for name in call.fields[1:] if not name.startswith("-")] or ["REPLY"]
    first, newline, rest = (shell.stdin or "").partition("\n")
    if shell.stdin is None or not known(first):
        for name in names:
            shell.variables[name] = UNKNOWN
        return None
    values = first.split(None, len(names) - 1)
    for index, name in enumerate(names):
        shell.variables[name] = values[index].strip() if index < len(values) else ""
    shell.stdin = rest
    return bool(newline)


def _cd(shell: Shell, call: Call) -> Status:
    target = call.fields[1] if len(call.fields) > 1 else "/"
    path = shell.absolute(target)
    exists = shell.disk.exists(path)
    if exists is not False:
        shell.cwd = path
        shell.variables["PWD"] = path
    return exists if exists is not None else True


def _eval(shell: Shell, call: Call) -> Status:
    text = " ".join(call.fields[1:])
    if not known(text):
        return None
    return shell.run_text(text)


def _source(shell: Shell, call: Call) -> Status:
    return shell.source(call.fields[1], call.fields[2:]) if len(call.fields) > 1 else True


def _exec(shell: Shell, call: Call) -> Status:
    if len(call.fields) < 2:
        return True
    background = shell.background
    shell.replacing, shell.background = True, background or shell.serves
    try:
        shell.dispatch(call.rest(1))
    finally:
        shell.replacing, shell.background = False, background
    shell.leave(("exit",))
    return None


def _command(shell: Shell, call: Call) -> Status:
    if len(call.fields) > 1 and call.fields[1] in ("-v", "-V", "-p"):
        return _which(shell, Call.of(call.fields[0], *call.fields[2:]))
    shell.dispatch(call.rest(1) if len(call.fields) > 1 else Call.of("true"))
    return shell.status


def _which(shell: Shell, call: Call) -> Status:
    names = [name for name in call.fields[1:] if not name.startswith("-")]
    answer: Status = bool(names)
    for name in names:
        if not known(name):
            return None
        if name in shell.functions or (call.fields[0] != "which" and name in _BUILT_IN):
            shell.write(name + "\n")
            continue
        path, found, present = shell.locate(name)
        if found is not None:
            shell.write(path + "\n")
        elif present is None:
            shell.write(UNKNOWN)
            answer = None
        else:
            answer = False
    return answer


def _filter(shell: Shell, call: Call) -> Status:
    """A command that sets up the packet filter: presumed to work, and kept for who asks what the filter lets in."""
    path, found, present = shell.locate(call.fields[0])
    world = shell.world
    if present is not False and len(world.filters) < RUN_LIMIT:
        name, words = call.fields[0].rsplit("/", 1)[-1], tuple(call.fields)
        world.filters.append(Run(name, path, words, tuple(call.shown), found, present, world.under, shell.place))
    return True


_BUILT_IN = frozenset(
    ["echo", "test", "[", "cd", "true", "false", "read", "export", "printf", "eval", "exec", "local", "type", "command"]
)


def _getopts(shell: Shell, call: Call) -> Status:
    """``getopts spec name [arguments]``: one option of the positional parameters for each call, one letter in each word."""
    if len(call.fields) < 3 or not known("".join(call.fields[:3])):
        return None
    spec, name = call.fields[1:3]
    arguments = call.fields[3:] or shell.args
    index = shell.variables.get("OPTIND") or "1"
    at = int(index[:4]) if index[:4].isdigit() else 1
    word = arguments[at - 1] if 0 < at <= len(arguments) else ""
    if not known(word):
        shell.variables[name] = UNKNOWN
        return None
    shell.variables[name] = "?"
    if not word.startswith("-") or word in ("-", "--"):
        shell.variables["OPTIND"] = str(at + (word == "--"))
        return False
    letter, rest = word[1], word[2:]
    place = spec.find(letter) if letter != ":" else -1
    if place >= 0:
        shell.variables[name] = letter
    if place >= 0 and spec[place + 1 : place + 2] == ":":
        shell.variables["OPTARG"] = rest or (arguments[at] if at < len(arguments) else "")
        at += 0 if rest else 1
    shell.variables["OPTIND"] = str(at + 1)
    return True


def _running(shell: Shell, call: Call) -> Status:
    """``pidof``, ``pgrep``: nothing runs yet that the boot has not started; what it has started may have ended."""
    names = [posixpath.basename(text) for text in call.fields[1:] if not text.startswith("-") and not text.isdigit()]
    if names and all(map(known, names)) and not any(run.name == name for run in shell.world.runs for name in names):
        return False
    return undecided(shell, call)


def _uname(shell: Shell, call: Call) -> Status:
    flags = "".join(text[1:] for text in call.fields[1:] if text.startswith("-")) or "s"
    releases = [posixpath.basename(node.path) for node in shell.disk.root.children("/lib/modules")]
    release = releases[0] if len(releases) == 1 else UNKNOWN
    values = {"s": "Linux", "r": release, "o": "GNU/Linux"}
    shell.write(" ".join(values.get(flag, UNKNOWN) for flag in flags) + "\n")
    return True


HANDLERS: dict[str, Handler] = {
    "true": _true,
    "false": _false,
    "exit": _exit,
    "return": _return,
    "break": _break,
    "continue": _continue,
    **dict.fromkeys(("local", "typeset", "declare"), _local),
    **dict.fromkeys(("export", "readonly"), _export),
    "unset": _unset,
    "set": _set,
    "getopts": _getopts,
    **dict.fromkeys(("pidof", "pgrep", "pidofproc"), _running),
    "uname": _uname,
    "shift": _shift,
    "read": _read,
    "cd": _cd,
    "eval": _eval,
    **dict.fromkeys((".", "source"), _source),
    "exec": _exec,
    **dict.fromkeys(("command", "builtin"), _command),
    **dict.fromkeys(("which", "type"), _which),
    **dict.fromkeys(_UNDECIDED, undecided),
    **dict.fromkeys(_PRESUMED, _true),
    **dict.fromkeys(("iptables", "iptables-restore"), _filter),
}
