"""The way back to the factory state: handlers that erase what the user set, what they erase, and the pages that offer it.

Sources: OpenWrt fstools (firstboot, jffs2reset), ``/etc/rc.button/reset``, mtd(1), nvram(8) of Broadcom and Ralink kits, Android
recovery (--wipe_data), ESP-IDF nvs_flash.h, Zephyr settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from fwcheck.device.firmware import FileSystem, Firmware
from fwcheck.model import Evidence, Facts, Location, Node, PatternHit, Trait

_ERASES = re.compile(
    r"(?:^|[\s;&|(\"'`/])(?:"
    r"(?P<overlay>firstboot(?=\s|$|[;&\"'`)])(?!\s*\(\)|\s+switch2jffs)|jffs2reset\b(?!\s*\(\)))"
    r"|mtd\s+(?:-\w\s+){0,4}erase\s+[\"']?(?P<mtd>[\w/.-]{1,40})"
    r"|(?:flash_eraseall|flash_erase|mtd_debug\s+erase|ubiformat|ubirmvol)\s+(?:-\w+\s+){0,4}(?P<flash>/dev/[\w/]{1,40})"
    r"|nvram\s+(?P<nvram>erase|default|restore_default|factoryreset|reset)\b"
    r"|(?P<ralink>ralink_init\s+clear(?:\s+\w+)?|nvram_(?:default|reset|restore)\b(?!\s*\(\)))"
    r"|rm\s+-\w*[rR]\w*\s+(?:--\s+)?[\"']?(?P<rm>/[\w./*-]{1,80})"
    r"|(?:mkfs(?:\.\w+)?|mke2fs)\s+[^\n;&|]{0,80}?(?P<mkfs>/dev/[\w/]{1,40})"
    r"|cp\s+(?:-\w+\s+)*[^\s;&|]{0,80}(?:default|factory)[^\s;&|]{0,80}\s+(?P<cp>/[\w./-]{1,80})"
    r"|(?P<uci>uci\s+(?:-q\s+)?(?:revert|import)\b)"
    r")"
)
_SHORTHANDS = ("firstboot", "jffs2", "erase", "nvram", "ralink_init", "rm -", "mkfs", "mke2fs", "ubi", "cp ")
_NAMED = re.compile(r"(?i)factory|reset|restore|wipe")
_SAID = re.compile(
    r"\s*(?:echo|printf|logger|print|define_help)\b[^|;&]*$|[=!]=?\s*\"(?:firstboot|jffs2reset)\"|boot_hook_add|boot_run_hook"
)
_SPOKEN = (".lua", ".cgi", ".sh", ".php", ".uc", ".ut", ".py", ".pl", ".rc")
_KEPT = re.compile(
    r"/(?:overlay|data|config|cfg|conf|etc/(?:config|persist)|mnt|usr/(?:data|local/etc)|userdata|home|nvram|var/(?:config|lib)|opt|persist|root|rom)\b"
)
_PAGE = re.compile(
    r"(?i)/[^/]*(?:restore[_-]?(?:factory|default)|factory[_-]?(?:reset|default|restore)|default[_-]?(?:setting|restore|reset)|reset[_-]?default|"
    r"restoredefault\w*|recover[_-]?default|load[_-]?default)[^/]*\.(?:html?|asp|php|cgi|lua|jst?|cgi|xml|htm|shtml|js|gch|ut)$"
)
_BUTTON = ("/etc/rc.button/reset", "/etc/hotplug.d/button/00-button", "/etc/rc.button/wps_reset", "/etc/hotplug.d/button/reset")
_PROGRAM = re.compile(
    r"(?i)/(?:[\w.-]*(?:factory[_-]?(?:reset|default|restore)|restore[_-]?(?:factory|default)s?"
    r"|reset[_-]?(?:to[_-]?)?(?:factory|default)s?)[\w.-]*|firstboot|jffs2reset)$"
)
_OTHERS = (
    "bash",
    "busybox",
    "pppd",
    "hdparm",
    "wl",
    "smartctl",
    "libfstools.so",
    "mtd",
    "recovery",
)  # they say it of something else
_SHOWN = 8
_LINES = 4000


def reset(firmware: Firmware) -> tuple[Trait, ...]:
    """Handlers whose commands can be read ("yes"), and pages and programs that only speak of it ("unknown")."""
    found: list[Trait] = []
    for root in firmware.roots():
        if root.is_root:
            found += [*_scripts(root), *_offers(root)]
    if not any(root.is_root for root in firmware.roots()):
        found += _loose(firmware)
    return tuple(found)


def _scripts(root: FileSystem) -> Iterator[Trait]:
    handlers: dict[str, list[Evidence]] = {}
    erased: dict[str, list[str]] = {}
    for node, facts in root.files():
        text = facts.text
        if text is None or not (facts.kind in ("script", "php") or node.path.endswith(_SPOKEN)):
            continue
        if not any(word in text for word in _SHORTHANDS):
            continue
        named = _NAMED.search(node.path) is not None
        if not named and not re.search(r"(?i)factory|reset|default|firstboot", text):
            continue
        for number, line in enumerate(text.splitlines()[:_LINES], 1):
            what = _erases(line[:1000], named=named) if any(word in line for word in _SHORTHANDS) else ""
            if what:
                handlers.setdefault(node.path, []).append(root.evidence(node.path, line, line=number))
                erased.setdefault(node.path, []).append(what)
    for path, proofs in handlers.items():
        yield Trait(
            name="reset handler",
            state="yes",
            detail=", ".join(dict.fromkeys(erased[path]))[:200],
            root=root.label,
            evidence=tuple(proofs[:_SHOWN]),
        )


def _erases(line: str, *, named: bool) -> str:
    """What a line erases for the way back to the factory state; "" when it is none. Doubtful commands count in named scripts."""
    if line.lstrip().startswith(("#", "--", "//")) or _SAID.search(line):
        return ""
    found = _ERASES.search(line)
    if found is None or found.lastgroup is None:
        return ""
    kind, what = found.lastgroup, found.group(found.lastgroup)
    if kind in ("overlay", "nvram", "ralink"):
        return what
    if kind == "mtd":
        return what if re.search(r"rootfs_data|config|nvram|data|user|overlay|cfg|env|jffs2", what) else ""
    if kind == "rm":
        return what if (named or _NAMED.search(line)) and _KEPT.match(what) else ""
    if kind == "uci":
        return ""
    return what if named else ""


def _offers(root: FileSystem) -> Iterator[Trait]:
    """Pages, buttons, and programs that name the function without showing what they do."""
    pages: list[Evidence] = []
    programs: list[Evidence] = []
    buttons = [root.evidence(path, "handler of the reset button") for path in _BUTTON if root.exists(path)]
    for node, facts in root.files():
        hits = [hit for hit in _hits(facts) if facts.kind != "elf" or hit.text != "firstboot"]  # systemd has one that sets up
        if facts.kind == "elf":
            if node.path.endswith(".ko") or node.path.rpartition("/")[2] in _OTHERS:
                continue
            if _PROGRAM.search(node.path):
                programs.append(root.evidence(node.path, "a program of this name"))
            elif hits:
                programs.append(root.evidence(node.path, hits[0].text, offset=hits[0].offset))
        elif _PAGE.search(node.path) or (hits and facts.kind in ("html", "javascript", "php")):
            pages.append(root.evidence(node.path, hits[0].text if hits else "page", offset=hits[0].offset if hits else None))
    for path in ("/sbin/firstboot", "/sbin/jffs2reset"):
        link = root.resolve(path, follow=False)
        if link is not None and link.target is not None:
            programs.append(root.evidence(path, f"link to {link.target}"))
    for name, proofs in (("reset button", buttons), ("reset page", pages), ("reset in a program", programs)):
        if proofs:
            yield Trait(
                name=name, state="unknown", detail=f"{len(proofs)} places", root=root.label, evidence=tuple(proofs[:_SHOWN])
            )


def _loose(firmware: Firmware) -> Iterator[Trait]:
    """Microcontroller images: strings of the calls that erase the settings."""
    held: dict[str, list[Evidence]] = {}
    for node, facts in firmware.loose:
        for hit in _hits(facts):
            held.setdefault(hit.rule, []).append(_place(node, hit.offset, hit.text))
    for rule, proofs in held.items():
        state: Literal["unknown"] = "unknown"
        name = "reset in a program" if rule == "recovery-factory-reset" else "settings can be erased"
        yield Trait(
            name=name,
            state=state,
            detail=proofs[0].text[:80],
            root=" › ".join(proofs[0].location.chain),
            evidence=tuple(proofs[:_SHOWN]),
        )


def _hits(facts: Facts) -> list[PatternHit]:
    return [hit for hit in facts.yara if hit.rule in ("recovery-factory-reset", "recovery-storage-erased")]


def _place(node: Node, offset: int, text: str) -> Evidence:
    return Evidence(location=Location(chain=node.chain, path=node.path, offset=offset), text=text)
