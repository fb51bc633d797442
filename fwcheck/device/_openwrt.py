"""OpenWrt's own shell vocabulary: rc.common, the configuration calls of /lib/functions.sh, procd's service calls, ``uci``.

Source: package/base-files/files/etc/rc.common, lib/functions.sh, lib/functions/{service,procd}.sh and the uci command of
OpenWrt (10.03 to 23.05). They are answered from /etc/config of the image instead of being interpreted.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from fwcheck.device import _shell_words as words
from fwcheck.device._shell import Run, Shell, Status
from fwcheck.device._shell_syntax import UNKNOWN
from fwcheck.device._uci import Section, split_words, truth

Handler = Callable[[Shell, list[str], list[str]], Status]
_LOADED = "\0package"  # the shell variable that remembers the package of the last config_load


def rc_common(shell: Shell, path: str, text: str) -> None:
    """``#!/bin/sh /etc/rc.common``: the script defines functions, the action calls them."""
    action = shell.args[0] if shell.args else "help"
    name = re.sub(r"^[SK]\d\d", "", posixpath.basename(path))
    if action == "enabled":
        links = shell.disk.glob(f"/etc/rc.d/S[0-9][0-9]{name}")
        shell.status = None if links is None else bool(links)
        return
    if action in ("enable", "disable"):
        if shell.world.certain:
            gone, kept = shell.world.disabled, shell.world.enabled
            (gone if action == "disable" else kept)[name] = shell.caller or shell.place
            (kept if action == "disable" else gone).pop(name, None)
        shell.status = True
        return
    if action not in ("boot", "start", "restart", "reload"):
        shell.status = None if action not in ("stop", "shutdown") else True
        return
    shell.rc_common = path
    shell.variables |= {"initscript": path, "action": action}
    for library in ("/lib/functions.sh", "/lib/functions/service.sh"):
        if shell.disk.find(library) is not None:
            shell.source(library, [])
    shell.args = shell.args[1:]
    shell.read(text)
    _act(shell, "boot" if action == "boot" else "start")
    if action == "boot" and "service_triggers" in shell.functions:
        shell.call("service_triggers", [])


def _act(shell: Shell, action: str) -> None:
    if action in shell.functions:
        shell.call(action, shell.args)
    elif action == "boot":
        _act(shell, "start")
    elif action == "start" and (shell.variables.get("USE_PROCD") or "") != "" and "start_service" in shell.functions:
        shell.call("start_service", shell.args)
    if action == "start" and "service_started" in shell.functions:
        shell.call("service_started", [])


def _start(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    if shell.rc_common:
        _act(shell, fields[0])
        return shell.status
    return shell.execute(fields, shown)


# Configuration


def _sections(shell: Shell) -> list[Section] | None:
    name = shell.variables.get(_LOADED)
    return shell.world.package(name) if name and words.known(name) else None


def _section(sections: list[Section] | None, name: str) -> Section | None:
    return next((section for section in sections or () if section.name == name), None)


def _config_load(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    shell.variables[_LOADED] = fields[1] if len(fields) > 1 else ""
    sections = _sections(shell)
    return True if sections is not None else None


def _option(sections: list[Section] | None, name: str, option: str, default: str) -> str:
    if sections is None or not words.known(name + option):
        return UNKNOWN
    section = _section(sections, name)
    if section is None:
        return default
    if option == "TYPE":
        return section.type
    return section.get(option) or default


def _config_get(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    fields = fields + [""] * (5 - len(fields))
    if not fields[3]:
        shell.write(_option(_sections(shell), fields[1], fields[2], fields[4]) + "\n")
    else:
        shell.assign(fields[1], _option(_sections(shell), fields[2], fields[3], fields[4]))
    return True


def _config_get_bool(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    fields = fields + [""] * (5 - len(fields))
    text = _option(_sections(shell), fields[2], fields[3], fields[4])
    answer = truth(text)
    shell.assign(fields[1], text if not words.known(text) else fields[4] if answer is None else str(int(answer)))
    return True


def _config_set(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    section = _section(_sections(shell), fields[1]) if len(fields) > 3 else None
    if section is not None:
        section.options[fields[2]] = fields[3] if shell.world.certain else UNKNOWN
    return True


def _config_foreach(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    function, kind, rest = fields[1] if len(fields) > 1 else "", fields[2] if len(fields) > 2 else "", fields[3:]
    sections = _sections(shell)
    if sections is None:
        package = shell.variables.get(_LOADED) or "the configuration"
        ways = [(f"/etc/config/{package} has a section {kind}", lambda: shell.dispatch([function, UNKNOWN, *rest], [function]))]
        shell.alternatives(ways, exhaustive=False)
        return None
    for section in sections[:256]:
        if not kind or section.type == kind:
            shell.dispatch([function, section.name, *rest], [function, section.name, *rest])
    return True


def _config_list_foreach(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    if len(fields) < 4:
        return True
    section = _section(_sections(shell), fields[1])
    held = section.options.get(fields[2], []) if section is not None else []
    for text in held[:256] if isinstance(held, list) else []:
        shell.dispatch([fields[3], text, *fields[4:]], [fields[3], text, *fields[4:]])
    return True


def _validate(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    """``uci_validate_section package type name 'option:type:default' ...`` sets a variable for every option."""
    if fields[0] == "uci_load_validate":  # package type name function 'option:...'
        function, fields = fields[4] if len(fields) > 4 else "", [*fields[:4], *fields[5:]]
    else:
        function = ""
    package, name = (fields + ["", "", "", ""])[1], (fields + ["", "", "", ""])[3]
    sections = shell.world.package(package) if words.known(package) else None
    for text in fields[4:]:
        option, _, rest = text.partition(":")
        default = rest.rpartition(":")[2] if ":" in re.sub(r"\([^)]*\)", "", rest) else ""
        value = _option(sections, name, option, default)
        if re.match(r"bool\b", rest) and words.known(value):
            answer = truth(value)
            value = default if answer is None else str(int(answer))
        shell.assign(option, value)
    if function and words.known(function):
        shell.dispatch([function, name], [function, name])
    return True


def _uci_get(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    """The shell function: ``uci_get package section option default`` or one dotted name."""
    if len(fields) == 2 or (len(fields) > 1 and "." in fields[1]):
        return _answer(shell, fields[1], fields[2] if len(fields) > 2 else "")
    fields = fields + [""] * (5 - len(fields))
    return _answer(shell, ".".join(text for text in fields[1:4] if text), fields[4])


def _uci(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    rest = fields[1:]
    while rest and rest[0].startswith("-"):
        if rest[0] in ("-c", "-p", "-P", "-d", "-f", "-t"):
            rest = rest[1:]
        rest = rest[1:]
    verb = rest[0] if rest else ""
    if verb == "batch":
        for line in (shell.stdin or "").splitlines()[:512]:
            _uci(shell, ["uci", *split_words(line)], [])
        return True
    if verb == "get" and len(rest) > 1:
        return _answer(shell, rest[1], "")
    if verb in ("set", "add_list", "delete", "del_list", "rename") and len(rest) > 1:
        return _change(shell, verb, rest[1])
    if verb == "add" and len(rest) > 2:
        sections = shell.world.package(rest[1]) if words.known(rest[1]) else None
        if sections is not None:
            sections.append(Section(rest[2], f"new{len(sections):02x}", 0, anonymous=True))
            shell.write(sections[-1].name + "\n")
            return True
        shell.write(UNKNOWN)
        return None
    if verb in ("commit", "revert", "changes", ""):
        return True
    shell.write(UNKNOWN)
    return None


_INDEXED = re.compile(r"@([\w-]+)\[(-?\d{1,4})\]")


def _lookup(shell: Shell, dotted: str) -> tuple[Section | None, str, bool]:
    """Section, option name, and whether the package is known."""
    package, _, rest = dotted.partition(".")
    name, _, option = rest.partition(".")
    if not words.known(package + name):
        return None, option, False
    sections = shell.world.package(package)
    if sections is None:
        return None, option, False
    if found := _INDEXED.fullmatch(name):
        of_type = [section for section in sections if section.type == found.group(1)]
        index = int(found.group(2))
        return (of_type[index] if -len(of_type) <= index < len(of_type) else None), option, True
    return _section(sections, name), option, True


def _answer(shell: Shell, dotted: str, default: str) -> Status:
    section, option, known = _lookup(shell, dotted)
    if not known:
        shell.write(UNKNOWN)
        return None
    if section is None or (option and option not in section.options):
        shell.write(default + "\n" if default else "")
        return False
    shell.write((section.get(option) if option else section.type) + "\n")
    return True


def _change(shell: Shell, verb: str, text: str) -> Status:
    dotted, _, value = text.partition("=")
    section, option, known = _lookup(shell, dotted)
    if section is None:
        package, _, name = dotted.partition(".")
        sections = shell.world.package(package) if words.known(package) else None
        if known and verb == "set" and sections is not None and "." not in name and shell.world.certain:
            sections.append(Section(value, name, 0))
        return True if known else None
    value = value if shell.world.certain else UNKNOWN
    if verb == "set" and option:
        section.options[option] = value
    elif verb == "delete" and option and shell.world.certain:
        section.options.pop(option, None)
    elif verb == "add_list" and option:
        held = section.options.get(option, [])
        section.options[option] = [*(held if isinstance(held, list) else [held]), value]
    elif option:
        section.options[option] = UNKNOWN
    return True


# Services


def _open_instance(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    shell.world.instance.clear()
    return True


def _set_param(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    if len(shown) != len(fields):
        shown = fields
    if len(fields) > 2 and fields[1] == "command":
        _, found, present = shell.locate(fields[2])
        path = shell.locate(fields[2])[0]
        run = Run(
            posixpath.basename(fields[2]), path, tuple(fields[2:]), tuple(shown[2:]), found, present, shell.world.under, shell.place,
            manner="procd",
        )  # fmt: skip
        shell.world.instance[:] = [run]
    elif len(fields) > 2 and fields[1] == "user" and shell.world.instance and words.known(fields[2]):
        shell.world.instance[0] = _with(shell.world.instance[0], user=fields[2])
    return True


def _append_param(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    if len(fields) > 2 and fields[1] == "command" and shell.world.instance:
        run = shell.world.instance[0]
        sure = shell.world.under == run.conditions
        more = fields[2:] if sure else [UNKNOWN]
        said = (shown[2:] if len(shown) == len(fields) else fields[2:]) if sure else [f"[{' '.join(shown[2:])}]"]
        shell.world.instance[0] = _with(run, words=(*run.words, *more), shown=(*run.shown, *said))
    return True


def _with(run: Run, *, words: tuple[str, ...] | None = None, shown: tuple[str, ...] | None = None, user: str = "") -> Run:
    return Run(
        run.name, run.program, words or run.words, shown or run.shown, run.found, run.present, run.conditions, run.place,
        run.background, run.manner, user or run.user,
    )  # fmt: skip


def _close_instance(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    if shell.world.instance:
        shell.world.runs.extend(shell.world.instance)
        shell.world.instance.clear()
    return True


def _service_start(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    if len(fields) > 1:
        user = shell.variables.get("SERVICE_UID") or ""
        shell.execute(fields[1:], shown[1:] if len(shown) == len(fields) else fields[1:], manner="start-stop-daemon", user=user)
    return True


def _json_get(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    for name in fields[1:]:
        shell.assign(name.partition(":")[0], UNKNOWN)
    return None


def _nothing(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    return True


def _trigger(shell: Shell, fields: list[str], shown: list[str]) -> Status:
    """``procd_add_interface_trigger event interface script action``: the script runs when the interface comes up."""
    if shell.rc_common and len(fields) > 2:
        interface = fields[2] if fields[0] == "procd_add_interface_trigger" else "lan"
        name = re.sub(r"^[SK]\d\d", "", posixpath.basename(shell.rc_common))
        up = interface in ("lan", "loopback", "*")
        shell.world.triggers.setdefault(
            f"/etc/init.d/{name}", "" if up else f"interface {interface} comes up".replace(UNKNOWN, "?")
        )
        if up:
            shell.world.triggers[f"/etc/init.d/{name}"] = ""
    return True


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("start", "boot"), _start),
    "config_load": _config_load,
    "config_get": _config_get,
    "config_get_bool": _config_get_bool,
    "config_set": _config_set,
    "config_foreach": _config_foreach,
    "config_list_foreach": _config_list_foreach,
    **dict.fromkeys(("uci_validate_section", "uci_load_validate"), _validate),
    "uci_get": _uci_get,
    "uci": _uci,
    "procd_open_instance": _open_instance,
    "procd_set_param": _set_param,
    "procd_append_param": _append_param,
    "procd_close_instance": _close_instance,
    "service_start": _service_start,
    **dict.fromkeys(("procd_add_interface_trigger", "procd_add_raw_trigger"), _trigger),
    **dict.fromkeys(("json_get_var", "json_get_vars", "json_get_keys", "json_get_type", "json_get_values"), _json_get),
    "network_get_device": lambda shell, fields, shown: _json_get(shell, fields[:2], shown),
    **dict.fromkeys(
        [
            "procd_open_service",
            "procd_close_service",
            "procd_open_trigger",
            "procd_close_trigger",
            "procd_open_validate",
            "procd_close_validate",
            "procd_add_reload_trigger",
            "procd_add_validation",
            "procd_add_config_trigger",
            "procd_add_jail",
            "procd_add_jail_mount",
            "procd_open_data",
            "procd_close_data",
            "procd_add_mdns",
            "procd_send_signal",
            "procd_kill",
            "service_stop",
            "service_reload",
            "service_check",
            "json_init",
            "json_add_string",
            "json_add_int",
            "json_add_object",
            "json_close_object",
            "uci_load",
            "uci_commit",
            "uci_set_state",
            "uci_revert_state",
            "reset_cb",
            "reload_config",
            "config_generate",
        ],
        _nothing,
    ),
}
_OVERRIDES = frozenset(HANDLERS) - {"start", "boot"}


def is_override(name: str) -> bool:
    """Whether a function of this name is answered here, whatever the image's libraries define."""
    return name in _OVERRIDES or name.startswith(("json_", "ucidef_", "procd_add_", "uci_toggle_"))
