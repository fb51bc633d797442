"""The steps of an update in a compiled program, told from its calls: where each stands, and what is known of the checks.

Calls of one program stand in the order in which updates go; in what order the program comes to them is only known where the code
was followed (``Facts.guards``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal, cast

from fwcheck.device.firmware import FileSystem
from fwcheck.model import CallFact, Evidence, Facts, Node, StepAction, UpdateStep

Transport = Literal["authenticated", "unchecked", "plain", "none", "unknown"]
_MOST = 4  # steps of one kind that are shown
_ORDER: dict[str, int] = {"fetch": 0, "receive": 1, "unpack": 2, "verify": 3, "compare": 3, "write": 4, "set": 6, "restart": 7}
_BEHIND = 5
# curl/curl.h: CURLOPT_* (longs from 0 on, pointers from 10000 on).
_PEER, _HOST, _URL = 64, 81, 10002
_OPTIONS = {_PEER: "CURLOPT_SSL_VERIFYPEER", _HOST: "CURLOPT_SSL_VERIFYHOST", _URL: "CURLOPT_URL"}
_UNCHECKED = re.compile(r"\bcurl\s(?:[^|;&]*\s)?(?:-\w*k\w*|--insecure)\b|--no-check-certificate|\bwget\s[^|;&]*--no-check-cert")
_PLAIN = re.compile(r"(?i)\b(?:http|ftp)://|\btftp\b|\bftpget\b")
_SECURE = re.compile(r"(?i)\bhttps://")
_ABOUT_SOFTWARE = re.compile(
    r"(?i)upgrad|firmware|\bfw[_.]|[_/]fw\b|\bota\b|fota|sysup|\.(?:upf|trx|swu|chk)\b|(?:rootfs|kernel)\."
)
_CHECKER = re.compile(
    r"(?i)(?=.*(?:verif|check|image|img|firm|fw|upgrad|updat|file|upload))(?!.*(?:hmac|auth|passw|login|digest))"
)
_WORDS = {
    "flash_erase": "erases flash", "ioctl": "erases or writes flash (ioctl)", "open": "opens the flash for writing",
    "fopen": "opens the flash for writing",
}  # fmt: skip


def call_text(call: CallFact) -> str:
    """A call as a line of code; … stands for what is not constant."""
    shown = ["…" if each is None else f'"{each}"' if isinstance(each, str) else _number(each) for each in call.arguments]
    if call.function == "curl_easy_setopt" and len(shown) > 1 and isinstance(call.arguments[1], int):
        shown[1] = _OPTIONS.get(call.arguments[1], shown[1])
    where = f" in {call.caller}" if call.caller else ""
    return f"{call.function}({', '.join(shown)}){where}"


def _number(value: int) -> str:
    return hex(value) if value > 0xFFFF else str(value)


def steps_of(fs: FileSystem, node: Node, facts: Facts, *, dedicated: bool) -> tuple[UpdateStep, ...]:
    """The steps that a program's calls show, in the order of an update."""
    behind = {guard.check for guard in facts.guards if guard.state == "behind"}
    found: list[tuple[tuple[int, int], UpdateStep]] = []
    seen: dict[str, int] = {}
    for call in _telling(facts.calls, dedicated=dedicated):
        text = call_text(call)
        number = seen.get(call.role, 0)
        if number >= _MOST or text in seen:
            continue
        seen[call.role] = number + 1
        seen[text] = 1
        place = _BEHIND if call.offset in behind else _ORDER[call.role]
        found.append(((place, call.offset), _step(call, fs.evidence(node.path, text, offset=call.offset), facts)))
    return tuple(step for _, step in sorted(found, key=lambda each: each[0]))


def about_software(call: CallFact) -> bool:
    """Whether the texts of a call, or the name of the function around it, speak of software images."""
    return (
        _ABOUT_SOFTWARE.search(" ".join([call.caller, *(each for each in call.arguments if isinstance(each, str))])) is not None
    )


def _telling(calls: Iterable[CallFact], *, dedicated: bool) -> Iterator[CallFact]:
    """Calls that are steps of an update, those of commands and of the program's own functions first.

    A program that does other things, too, fetches, unpacks and computes hashes for other ends: those count where they stand in
    one function with the write, or speak of software.
    """
    calls = [call for call in calls if call.role in _ORDER]
    writing = {call.within for call in calls if call.role in ("write", "receive") and call.within is not None}
    known = [
        call
        for call in calls
        if call.role in ("receive", "verify", "write", "set", "restart")
        or call.within in writing
        or dedicated
        or (_CHECKER.match(call.caller) if call.role == "compare" else about_software(call))
    ]
    yield from sorted(known, key=lambda each: (each.function in ("open", "fopen", "ioctl", "open64", "fopen64"), each.offset))


def _step(call: CallFact, where: Evidence, facts: Facts) -> UpdateStep:
    action = cast("StepAction", call.role)
    if action == "verify":
        honoured, reason = _honoured(call, facts)
        return UpdateStep(
            action=action,
            what=f"signature checked by {_told(call)}",
            check="signature",
            honoured=honoured,
            reason=reason,
            evidence=where,
        )
    if action == "compare":
        kind: Literal["hash", "checksum"] = "checksum" if "crc" in _told(call).lower() or "cksum" in _told(call) else "hash"
        return UpdateStep(action=action, what=f"{kind} computed by {_told(call)}", check=kind, honoured="unknown", evidence=where)
    return UpdateStep(action=action, what=_what(call), evidence=where)


def _honoured(call: CallFact, facts: Facts) -> tuple[Literal["", "yes", "no", "unknown"], str]:
    states = {guard.state for guard in facts.guards if guard.check == call.offset}
    if "guards" in states:
        return "yes", ""
    if call.result_used is False and call.count == 1:
        return "no", "the result is not looked at"
    if states == {"behind"}:
        return "no", "stands behind the write"
    if states == {"passable"}:
        return "unknown", "a way to the write leads round it"
    return "unknown", "the way from here to the write was not followed"


def _told(call: CallFact) -> str:
    return (
        next((each for each in call.arguments if isinstance(each, str)), call.function)
        if call.function in _RUNS
        else call.function
    )


_RUNS = frozenset({"system", "popen"})


def _what(call: CallFact) -> str:
    text = max((each for each in call.arguments if isinstance(each, str)), key=len, default="")
    if call.function == "curl_easy_setopt" and call.arguments[1] in (_PEER, _HOST):
        return "certificate of the server is not checked" if call.arguments[2] == 0 else "certificate of the server is checked"
    if call.role == "receive" and call.function in ("getenv", "strcmp", "strstr", "strncmp", "memcmp", "strcasecmp"):
        return f"takes an upload ({text})" if text else "takes an upload"
    if call.role == "write" and call.function.removesuffix("64") in _WORDS:
        return f"{_WORDS[call.function.removesuffix('64')]}{f': {text}' if text else ''}"
    return f"{call.function}: {text}"[:160] if text else call.function


def transport_of(facts: Facts, *, dedicated: bool) -> Transport:
    """What a program fetches software over, where its constants tell.

    ``dedicated``: the program does nothing but updates, so that all it fetches counts; else only what speaks of software does.
    """
    fetches = [call for call in facts.calls if call.role == "fetch"]
    curl = [call for call in fetches if call.function == "curl_easy_setopt"]
    unchecked = any(call.arguments[1] == _PEER and call.arguments[2] == 0 for call in curl)
    found: set[Transport] = set()
    for call in fetches:
        texts = " ".join(each for each in call.arguments if isinstance(each, str))
        if not texts or not (dedicated or about_software(call)):
            continue
        if _UNCHECKED.search(texts):
            found.add("unchecked")
        elif _PLAIN.search(texts):
            found.add("plain")
        elif _SECURE.search(texts):
            found.add("unchecked" if unchecked else "authenticated" if call in curl else "unknown")
    if dedicated and unchecked and not found:
        found.add("unchecked")
    weakest: tuple[Transport, ...] = ("plain", "unchecked", "unknown", "authenticated")
    return next((each for each in weakest if each in found), "unknown")
