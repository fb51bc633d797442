"""OpenWrt's own shell vocabulary: rc.common, the configuration calls of /lib/functions.sh, procd's service calls, ``uci``.

Source: package/base-files/files/etc/rc.common, lib/functions.sh, lib/functions/{service,procd}.sh and the uci command of
OpenWrt (10.03 to 23.05). They are answered from /etc/config of the image instead of being interpreted.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace

from fwcheck.device._uci import Section, split_words, truth
from fwcheck.device.shell.patterns import known
from fwcheck.device.shell.process import Shell
from fwcheck.device.shell.tree import UNKNOWN
from fwcheck.device.shell.world import Call, Handler, Run, Status

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
        shell.invoke("service_triggers", [])


def _act(shell: Shell, action: str) -> None:
    if action in shell.functions:
        shell.invoke(action, shell.args)
    elif action == "boot":
        _act(shell, "start")
    elif action == "start" and (shell.variables.get("USE_PROCD") or "") != "" and "start_service" in shell.functions:
        shell.invoke("start_service", shell.args)
    if action == "start" and "service_started" in shell.functions:
        shell.invoke("service_started", [])


def _start(shell: Shell, call: Call) -> Status:
    if shell.rc_common:
        _act(shell, call.fields[0])
        return shell.status
    return shell.execute(call)


# Configuration


def _sections(shell: Shell) -> list[Section] | None:
    name = shell.variables.get(_LOADED)
    return shell.world.package(name) if name and known(name) else None


def _section(sections: list[Section] | None, name: str) -> Section | None:
    return next((section for section in sections or () if section.name == name), None)


def _config_load(shell: Shell, call: Call) -> Status:
    shell.variables[_LOADED] = call.fields[1] if len(call.fields) > 1 else ""
    sections = _sections(shell)
    return True if sections is not None else None


def _option(sections: list[Section] | None, name: str, option: str, default: str) -> str:
    if sections is None or not known(name + option):
        return UNKNOWN
    section = _section(sections, name)
    if section is None:
        return default
    if option == "TYPE":
        return section.type
    return section.get(option) or default


def _config_get(shell: Shell, call: Call) -> Status:
    fields = [*call.fields, "", "", "", "", ""]
    if not fields[3]:
        shell.write(_option(_sections(shell), fields[1], fields[2], fields[4]) + "\n")
    else:
        shell.assign(fields[1], _option(_sections(shell), fields[2], fields[3], fields[4]))
    return True


def _config_get_bool(shell: Shell, call: Call) -> Status:
    fields = [*call.fields, "", "", "", "", ""]
    text = _option(_sections(shell), fields[2], fields[3], fields[4])
    answer = truth(text)
    shell.assign(fields[1], text if not known(text) else fields[4] if answer is None else str(int(answer)))
    return True


def _config_set(shell: Shell, call: Call) -> Status:
    section = _section(_sections(shell), call.fields[1]) if len(call.fields) > 3 else None
    if section is not None:
        section.options[call.fields[2]] = call.fields[3] if shell.world.certain else UNKNOWN
    return True


def _config_foreach(shell: Shell, call: Call) -> Status:
    function, kind, rest = (*call.fields[1:3], "", "")[0], (*call.fields[1:3], "", "")[1], call.fields[3:]
    sections = _sections(shell)
    if sections is None:
        package = shell.variables.get(_LOADED) or "the configuration"
        each = Call([function, UNKNOWN, *rest], [function])
        shell.alternatives([(f"/etc/config/{package} has a section {kind}", lambda: shell.dispatch(each))], exhaustive=False)
        return None
    for section in sections[:256]:
        if not kind or section.type == kind:
            shell.dispatch(Call.of(function, section.name, *rest))
    return True


def _config_list_foreach(shell: Shell, call: Call) -> Status:
    if len(call.fields) < 4:
        return True
    section = _section(_sections(shell), call.fields[1])
    held = section.options.get(call.fields[2], []) if section is not None else []
    for text in held[:256] if isinstance(held, list) else []:
        shell.dispatch(Call.of(call.fields[3], text, *call.fields[4:]))
    return True


def _validate(shell: Shell, call: Call) -> Status:
    """``uci_validate_section package type name 'option:type:default' ...`` sets a variable for every option."""
    fields, function = [*call.fields, "", "", "", ""], ""
    if fields[0] == "uci_load_validate":  # package type name function 'option:...'
        function = fields.pop(4)
    package, name = fields[1], fields[3]
    sections = shell.world.package(package) if known(package) else None
    for text in filter(None, fields[4:]):
        option, _, rest = text.partition(":")
        default = rest.rpartition(":")[2] if ":" in re.sub(r"\([^)]*\)", "", rest) else ""
        value = _option(sections, name, option, default)
        if re.match(r"bool\b", rest) and known(value):
            answer = truth(value)
            value = default if answer is None else str(int(answer))
        shell.assign(option, value)
    if function and known(function):
        shell.dispatch(Call.of(function, name))
    return True


def _uci_get(shell: Shell, call: Call) -> Status:
    """The shell function: ``uci_get package section option default`` or one dotted name."""
    if len(call.fields) == 2 or (len(call.fields) > 1 and "." in call.fields[1]):
        return _answer(shell, call.fields[1], call.fields[2] if len(call.fields) > 2 else "")
    fields = [*call.fields, "", "", "", "", ""]
    return _answer(shell, ".".join(text for text in fields[1:4] if text), fields[4])


def _uci(shell: Shell, call: Call) -> Status:
    rest = call.fields[1:]
    while rest and rest[0].startswith("-"):
        if rest[0] in ("-c", "-p", "-P", "-d", "-f", "-t"):
            rest = rest[1:]
        rest = rest[1:]
    verb = rest[0] if rest else ""
    if verb == "batch":
        for line in (shell.stdin or "").splitlines()[:512]:
            _uci(shell, Call.of("uci", *split_words(line)))
        return True
    if verb == "get" and len(rest) > 1:
        return _answer(shell, rest[1], "")
    if verb in ("set", "add_list", "delete", "del_list", "rename") and len(rest) > 1:
        return _change(shell, verb, rest[1])
    if verb == "add" and len(rest) > 2:
        sections = shell.world.package(rest[1]) if known(rest[1]) else None
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
    if not known(package + name):
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
    section, option, held_here = _lookup(shell, dotted)
    if not held_here:
        shell.write(UNKNOWN)
        return None
    if section is None or (option and option not in section.options):
        shell.write(default + "\n" if default else "")
        return False
    shell.write((section.get(option) if option else section.type) + "\n")
    return True


def _change(shell: Shell, verb: str, text: str) -> Status:
    dotted, _, value = text.partition("=")
    section, option, held_here = _lookup(shell, dotted)
    if section is None:
        package, _, name = dotted.partition(".")
        sections = shell.world.package(package) if known(package) else None
        if held_here and verb == "set" and sections is not None and "." not in name and shell.world.certain:
            sections.append(Section(value, name, 0))
        return True if held_here else None
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

_CONFINEMENT = frozenset(("group", "capabilities", "seccomp", "no_new_privs", "netdev", "respawn"))


def _open_instance(shell: Shell, _call: Call) -> Status:
    shell.world.instance.clear()
    return True


def _set_param(shell: Shell, call: Call) -> Status:
    fields, instance = call.fields, shell.world.instance
    if len(fields) > 2 and fields[1] == "command":
        command = call.rest(2)
        path, found, present = shell.locate(fields[2])
        run = Run(
            name=posixpath.basename(fields[2]),
            program=path,
            words=tuple(command.fields),
            shown=tuple(command.shown),
            found=found,
            present=present,
            conditions=shell.world.under,
            place=shell.place,
            manner="procd",
        )
        instance[:] = [run]
    elif len(fields) > 2 and fields[1] == "user" and instance and known(fields[2]):
        instance[0] = replace(instance[0], user=fields[2])
    elif len(fields) > 2 and fields[1] in _CONFINEMENT and instance and all(map(known, fields)):
        instance[0] = replace(instance[0], detail={**instance[0].detail, fields[1]: " ".join(fields[2:])[:240]})
    return True


def _add_jail(shell: Shell, call: Call) -> Status:
    """``procd_add_jail name [proc] [sysfs] ...``: the instance runs in namespaces of its own, where ujail is there."""
    instance = shell.world.instance
    if instance and all(map(known, call.fields)) and shell.disk.find("/sbin/ujail") is not None:
        instance[0] = replace(instance[0], detail={**instance[0].detail, "jail": " ".join(call.fields[2:])[:240] or "yes"})
    return True


def _append_param(shell: Shell, call: Call) -> Status:
    instance = shell.world.instance
    if len(call.fields) > 2 and call.fields[1] == "command" and instance:
        run, added = instance[0], call.rest(2)
        if shell.world.under != run.conditions:  # appended under a condition of its own
            added = Call([UNKNOWN], [f"[{' '.join(added.shown)}]"])
        instance[0] = replace(run, words=(*run.words, *added.fields), shown=(*run.shown, *added.shown))
    return True


def _close_instance(shell: Shell, _call: Call) -> Status:
    if shell.world.instance:
        for run in shell.world.instance:
            shell.world.add(run)
        shell.world.instance.clear()
    return True


def _service_start(shell: Shell, call: Call) -> Status:
    if len(call.fields) > 1:
        user = shell.variables.get("SERVICE_UID") or ""
        shell.execute(call.rest(1), manner="start-stop-daemon", user=user)
    return True


def _json_get(shell: Shell, call: Call) -> Status:
    for name in call.fields[1:]:
        shell.assign(name.partition(":")[0], UNKNOWN)
    return None


def _nothing(_shell: Shell, _call: Call) -> Status:
    return True


def _trigger(shell: Shell, call: Call) -> Status:
    """``procd_add_interface_trigger event interface script action``: the script runs when the interface comes up."""
    if shell.rc_common and len(call.fields) > 2:
        interface = call.fields[2] if call.fields[0] == "procd_add_interface_trigger" else "lan"
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
    "procd_add_jail": _add_jail,
    "procd_close_instance": _close_instance,
    "service_start": _service_start,
    **dict.fromkeys(("procd_add_interface_trigger", "procd_add_raw_trigger"), _trigger),
    **dict.fromkeys(("json_get_var", "json_get_vars", "json_get_keys", "json_get_type", "json_get_values"), _json_get),
    "network_get_device": lambda shell, call: _json_get(shell, Call.of(*call.fields[:2])),
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
