"""Commands of service managers: OpenRC's default start, supervisors, and programs that change the user of what they run.

Sources: openrc-run(8), supervise-daemon(8), chpst(8), s6-setuidgid, su-exec, setpriv(1), runuser(1), sudo(8).
"""

from __future__ import annotations

import re

from fwcheck.device._uci import truth
from fwcheck.device.shell.commands._control import undecided
from fwcheck.device.shell.patterns import known
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.world import Call, Handler, Status

_WITH_VALUE = {
    "chpst": "uUbe/nlLmdopfctrCN",
    "setpriv": "",
    "sudo": "ugpCrthD",
    "runuser": "ugGscw",
    "s6-envuidgid": "",
    "doas": "uC",
}
_USER = {"chpst": "u", "sudo": "u", "runuser": "u", "doas": "u"}


def _as(shell: Shell, user: str, call: Call, at: int) -> Status:
    """Runs the rest of the words as a user."""
    if at >= len(call.fields):
        return True
    held = shell.user
    name = re.split(r"[:.]", user, maxsplit=1)[0]
    shell.user = held if not known(name) or not name else "" if name in ("root", "0") else name
    try:
        shell.dispatch(call.rest(at))
    finally:
        shell.user = held
    return shell.status


def _first(shell: Shell, call: Call) -> Status:
    """``setuidgid user program``: the first word behind the options is the user."""
    at = 1
    while at < len(call.fields) and call.fields[at].startswith("-"):
        at += 1
    return _as(shell, call.fields[at], call, at + 1) if at < len(call.fields) else True


def _option(shell: Shell, call: Call) -> Status:
    """``chpst -u user program``, ``sudo -u user program``, ``setpriv --reuid user program``."""
    name = call.fields[0].rpartition("/")[2]
    valued, letter, user, at = _WITH_VALUE.get(name, "u"), _USER.get(name, "\0"), "", 1
    while at < len(call.fields) and (call.fields[at].startswith("-") or re.match(r"[A-Za-z_]\w*=", call.fields[at])):
        word = call.fields[at]
        at += 1
        if word == "--":
            break
        long = re.match(r"--(?:reuid|user)(?:=(.*))?$", word)
        if long or (len(word) == 2 and word[1] == letter):
            value = long.group(1) if long and long.group(1) else call.fields[at] if at < len(call.fields) else ""
            at += 0 if long and long.group(1) else 1
            user = value
        elif len(word) > 2 and word[1] == letter and letter != "\0" and not word.startswith("--"):
            user = word[2:]
        elif len(word) == 2 and word[1] in valued:
            at += 1
    return _as(shell, user, call, at)


def _default_start(shell: Shell, _call: Call) -> Status:
    """What OpenRC does for a service without a ``start`` of its own."""
    values = {
        name: shell.variables.get(name) or ""
        for name in (
            "command",
            "command_args",
            "command_args_background",
            "command_args_foreground",
            "command_user",
            "supervisor",
            "start_stop_daemon_args",
            "capabilities",
        )
    }
    if not values["command"]:
        return True
    more = "command_args_foreground" if values["supervisor"] else "command_args_background"
    arguments = f"{values['command_args']} {values[more]}".split()
    user = values["command_user"].split(":")[0]
    found = re.search(r"(?:--user|--chuid|-u|-c)[ =](\S+)", values["start_stop_daemon_args"])
    user = user or (found.group(1).split(":")[0] if found else "")
    detail = {"capabilities": values["capabilities"]} if values["capabilities"] else {}
    command = values["command"].split() or [""]
    shell.execute(Call.of(*command, *arguments), manner="openrc", user=user if known(user) else "", detail=detail)
    return True


def _supervise(shell: Shell, call: Call) -> Status:
    """``supervise-daemon name --start [options] program -- arguments``."""
    fields = call.fields[2:] if len(call.fields) > 1 and not call.fields[1].startswith("-") else call.fields[1:]
    if not ({"--start", "-S"} & set(fields)):
        return True
    user, at = "", 0
    while at < len(fields) and fields[at].startswith("-"):
        word, at = fields[at], at + 1
        if word in ("-u", "--user", "-c", "--chuid") and at < len(fields):
            user = fields[at].split(":")[0]
        at += word in _SUPERVISE_VALUES
    rest = [text for index, text in enumerate(fields[at:]) if text != "--" or index != 1]
    if rest:
        shell.execute(Call.of(*rest), manner="supervise-daemon", user=user if known(user) else "")
    return True


_SUPERVISE_VALUES = frozenset(
    """
-u --user -g --group -d --chdir -r --chroot -e --env -I --ionice -N --nicelevel -k --umask -1 --stdout -2 --stderr -p --pidfile
-D --respawn-delay -m --respawn-max -P --respawn-period -R --retry -a --healthcheck-timer -c --chuid
""".split()  # noqa: SIM905 -- a table of names
)


def _yesno(_shell: Shell, call: Call) -> Status:
    value = call.fields[1] if len(call.fields) > 1 else ""
    return truth(value.lower()) if known(value) else None


def _true(_shell: Shell, _call: Call) -> Status:
    return True


_MESSAGES = """
ebegin eend einfo einfon ewarn ewarnn ewend eerror eerrorn eindent eoutdent vebegin veend veinfo vewarn veindent veoutdent
checkpath mark_service_started mark_service_inactive service_set_value depend yesno_message
""".split()  # noqa: SIM905 -- a table of names
HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("setuidgid", "s6-setuidgid", "su-exec", "gosu", "s6-applyuidgid", "envuidgid"), _first),
    **dict.fromkeys(("chpst", "sudo", "runuser", "setpriv", "doas"), _option),
    **dict.fromkeys(("default_start", "ssd_start", "supervise_start"), _default_start),
    "supervise-daemon": _supervise,
    "yesno": _yesno,
    **dict.fromkeys(("service_get_value", "get_bootparam", "service_started", "fstabinfo", "mountinfo"), undecided),
    **dict.fromkeys(_MESSAGES, _true),
}
