"""Information for testing (an IXIT as TS 103 701 calls it), as far as the image tells it: seven of its tables, pre-filled.

Every row names where in the image it comes from and which of its fields the maker still has to fill in. What no image tells
stays empty; what it tells of the shipped default may differ on the product, so that each cell is to be checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.resources import files

import msgspec

from fwcheck.jcstar.provisions import Words
from fwcheck.model import Component, CryptoAsset, Device, Evidence, Listener, Report, Service, UpdatePath
from fwcheck.reports import view
from fwcheck.reports.labels import label
from fwcheck.reports.registry import Lang
from fwcheck.reports.table import Column, Table, as_markdown, escape

_MOST = 400  # rows of a table
_CRYPTOGRAPHY = frozenset({
    "openssl", "libressl", "boringssl", "mbedtls", "wolfssl", "gnutls", "nettle", "libgcrypt", "libsodium", "matrixssl", "axtls",
    "bearssl", "cyassl", "polarssl", "libtomcrypt", "nss", "dropbear", "openssh", "libssh", "libssh2", "hostapd",
    "wpa_supplicant", "strongswan", "openvpn", "wireguard-tools", "cryptsetup", "openpgp", "gnupg", "mcuboot", "tinycrypt",
    "micro-ecc",
})  # fmt: skip


class _Shape(Words, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of TS 103 701: its name, later name and fields."""

    id: str
    column: tuple[dict[str, str | int], ...]
    later: str = ""


class _Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    table: dict[str, _Shape]
    words: dict[str, Words]


class _Row(msgspec.Struct, frozen=True):
    """What is known of one entry: cells by key, and the evidence."""

    cells: dict[str, str]
    where: tuple[Evidence, ...] = ()


def render(report: Report, *, lang: Lang = "en", show_secrets: bool = False) -> str:  # noqa: ARG001  # no cell holds a secret
    """The tables as Markdown."""
    head = f"# {escape(label('ixit_title', lang, name=report.image.name))}\n\n{escape(label('ixit_note', lang))}\n\n"
    return head + as_markdown(tables(report, lang), lang)


def tables(report: Report, lang: Lang = "en") -> Iterator[Table]:
    """One table for each of the seven that an image can help with."""
    for key, make in _TABLES.items():
        yield _table(key, list(make(report, _Say(lang))), lang)


def _table(key: str, made: list[_Row], lang: Lang) -> Table:
    shape = _data().table[key]
    own = [msgspec.convert(each, _Field) for each in shape.column]
    columns = tuple(Column(each.key, each.en, each.ja, each.width) for each in own)
    say = _Say(lang)
    rows = []
    for row in made[:_MOST]:
        missing = [column.heading(lang) for column in columns if not row.cells.get(column.key)]
        place = "\n".join(view.place(each.location) for each in row.where[:2])
        rows.append({**row.cells, "from": place, "todo": ", ".join(missing)})
    names = f"{shape.id} ({shape.later})" if shape.later else shape.id
    extra = tuple(
        Column(each, _data().words[each].en, _data().words[each].ja, width) for each, width in (("from", 40), ("todo", 34))
    )
    note = say("more", count=len(made) - _MOST) if len(made) > _MOST else ""
    return Table(f"IXIT {names}: {shape.text(lang)}", (*columns, *extra), tuple(rows), note)


class _Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str
    en: str
    ja: str
    width: int


class _Say:
    """The words of the tables in one language."""

    def __init__(self, lang: Lang) -> None:
        self.lang = lang

    def __call__(self, key: str, **values: str | int) -> str:
        words = _data().words.get(key)
        return key if words is None else words.text(self.lang).format(**values)


@cache
def _data() -> _Data:
    return msgspec.toml.decode((files(__package__) / "ixit.toml").read_bytes(), type=_Data)


# --------------------------------------------------------------------------- rows


def _offered(device: Device) -> list[Service]:
    return [each for each in device.services if each.present and each.enabled != "no" and (each.protocol or _ports(each, device))]


def _ports(service: Service, device: Device) -> str:
    held = [each for each in device.listeners if each.service == service.name and (not each.root or each.root == service.root)]
    return ", ".join(dict.fromkeys(_port(each) for each in held))


def _port(listener: Listener) -> str:
    return f"{listener.protocol}/{'?' if listener.port is None else listener.port}"


def _authentication(report: Report, say: _Say) -> Iterator[_Row]:
    device = report.device
    usable = [each for each in device.accounts if each.password in {"hash", "empty"} and each.login is not False]
    names = say("accounts", names=", ".join(dict.fromkeys(each.name for each in usable))) if usable else ""
    schemes = ", ".join(sorted({each.scheme for each in usable if each.scheme}))
    unlimited = next((each.rule for each in report.findings if each.rule == "ACC-009" and not each.waived), "")
    for each in _offered(device):
        if each.authentication == "none" and not _ports(each, device):
            continue
        what, ports = say("login", service=each.name, protocol=each.protocol or "?"), _ports(each, device)
        described = say("on_ports", what=what, ports=ports) if ports else what
        yield _Row(
            {
                "id": f"AuthMech-{each.name}",
                "description": "\n".join(line for line in (described, names) if line),
                "factor": say(each.authentication),
                "generation": _generation(report, say, fixed=bool(usable)) if each.authentication == "password" else "",
                "cryptography": "\n".join(_login_cryptography(each, schemes, say)),
                "brute_force": say("no_limit", rule=unlimited) if unlimited and each.authentication == "password" else "",
            },
            each.evidence,
        )
    for console in device.consoles:
        yield _Row(
            {
                "id": f"AuthMech-{console.tty}",
                "description": "\n".join(line for line in (say("console", tty=console.tty), names) if line),
                "factor": say({True: "password", False: "none", None: "unknown"}[console.authenticated]),
                "generation": _generation(report, say, fixed=bool(usable)) if console.authenticated else "",
            },
            console.evidence,
        )


def _generation(report: Report, say: _Say, *, fixed: bool) -> str:
    declared = report.device.declared
    said = declared.credentials if declared is not None else None
    stated = " ".join(each for each in (said.first_password or "", said.factory_process) if each) if said is not None else ""
    return "\n".join(line for line in (say("stated", text=stated) if stated else "", say("fixed") if fixed else "") if line)


def _login_cryptography(service: Service, schemes: str, say: _Say) -> Iterator[str]:
    yield say("travels", encryption=_encryption(service, say))
    if schemes and service.authentication == "password":
        yield say("stored_as", schemes=schemes)


def _encryption(service: Service, say: _Say) -> str:
    return {"unknown": say("unknown"), "none": say("no"), "tls": "TLS", "ssh": "SSH", "optional": "TLS?"}[service.encryption]


def _components(report: Report, say: _Say) -> Iterator[_Row]:
    held = view.components(report.components)
    by_purl = {each.purl: each for each in held if each.purl}
    ways = ", ".join(dict.fromkeys(_way(each) for each in report.device.update_paths if each.source != "container"))
    for each in held:
        yield _Row(
            {
                "id": f"SoftComp-{each.name}",
                "description": "\n".join(_describes(each, say)),
                "update": say("updated_by", names=ways) if ways else "",
                "cryptography": _cryptography(each, by_purl, say),
            },
            each.evidence,
        )


def _describes(each: Component, say: _Say) -> Iterator[str]:
    yield say("known", name=each.name, version=each.version or "?").strip()
    if each.license:
        yield each.license
    yield from (file.path for file in each.files[:3])


def _cryptography(each: Component, by_purl: dict[str, Component], say: _Say) -> str:
    if each.name in _CRYPTOGRAPHY:
        return say("crypto_yes")
    used = [by_purl[purl].name for purl in each.depends_on if purl in by_purl and by_purl[purl].name in _CRYPTOGRAPHY]
    return say("crypto_linked", names=", ".join(dict.fromkeys(used))) if used else ""


def _way(path: UpdatePath) -> str:
    return f"UpdMech-{(path.mechanism or path.sink).rsplit('/', 1)[-1]}"


def _updates(report: Report, say: _Say) -> Iterator[_Row]:
    for path in report.device.update_paths:
        if path.source == "container":
            continue
        steps = [f"{number}. {label(f'step_{each.action}', say.lang)}: {each.what}" for number, each in enumerate(path.steps, 1)]
        signed = [each.what for each in path.steps if each.action in {"verify", "compare"}]
        checked = say(
            "verified",
            check=say(f"check_{path.verified}"),
            transport=say(f"transport_{path.transport}"),
            rollback=say(f"rollback_{path.rollback}"),
        )
        yield _Row(
            {
                "id": _way(path),
                "description": "\n".join((say("way", source=say(path.source), sink=path.sink), *steps)),
                "guarantees": checked,
                "cryptography": "\n".join(signed),
                "initiation": say("automatic", answer=say(path.automatic)),
            },
            path.evidence,
        )


def _parameters(report: Report, say: _Say) -> Iterator[_Row]:
    for account in report.device.accounts:
        if account.password in {"hash", "empty"}:
            scheme = say("hashed", scheme=account.scheme or "?") if account.password == "hash" else say("empty")
            yield _Row(
                {
                    "id": f"SecParam-password-{account.name}",
                    "description": say("stored_password", name=account.name),
                    "type": say("critical"),
                    "protection": scheme,
                    "provisioning": say("in_image"),
                },
                account.evidence,
            )
    order = {"private-key": 0, "public-key": 1, "certificate": 2}
    for number, asset in enumerate(sorted(report.device.crypto, key=lambda each: order[each.kind]), 1):
        secret = asset.kind == "private-key"
        yield _Row(
            {
                "id": f"SecParam-{asset.kind}-{asset.fingerprint[:8] or number}",
                "description": _asset(asset, say),
                "type": say("critical" if secret else "public"),
                "protection": say("encrypted_key" if asset.encrypted else "plain_key") if secret else "",
                "provisioning": say("in_image"),
            },
            asset.evidence,
        )


def _asset(asset: CryptoAsset, say: _Say) -> str:
    bits = asset.bits or ""
    if asset.kind == "certificate":
        words = {"subject": asset.subject, "algorithm": asset.algorithm, "bits": bits, "end": asset.not_after[:10]}
        return say("a_certificate", **words)
    return say("private_key" if asset.kind == "private-key" else "public_key", algorithm=asset.algorithm, bits=bits).strip()


def _communication(report: Report, say: _Say) -> Iterator[_Row]:
    device = report.device
    services = {(each.root, each.name): each for each in device.services}
    for listener in device.listeners:
        service = services.get((listener.root, listener.service))
        if listener.reachable_from == "local" or (service is not None and service.enabled == "no"):
            continue
        protocol = service.protocol if service is not None else ""
        yield _Row(
            {
                "id": f"ComMech-{listener.service}-{listener.protocol}{listener.port or ''}",
                "description": say("listens", service=listener.service, protocol=protocol or "?", port=_port(listener)),
                "guarantees": "",
                "cryptography": "TLS" if listener.tls else _encryption(service, say) if service is not None else "",
            },
            listener.evidence,
        )
    for path in device.update_paths:
        if path.transport not in {"none", "unknown"}:
            yield _Row(
                {
                    "id": f"ComMech-{_way(path)}",
                    "description": say("fetches", source=say(path.source)),
                    "cryptography": say(f"transport_{path.transport}"),
                },
                path.evidence,
            )


def _services(report: Report, say: _Say) -> Iterator[_Row]:
    declared = report.device.declared
    reasons = {each.name.lower(): each.reason for each in (declared.services or ())} if declared is not None else {}
    for each in _offered(report.device):
        about = [say("program", program=each.program, arguments=each.arguments).strip()]
        about += [say("run_as", user=each.user)] if each.user else []
        ports = _ports(each, report.device)
        about += [ports] if ports else []
        state = (say("enabled", answer=say(each.enabled)), say("reach", reach=_reach(each.reachable_from, say)))
        named = each.authentication not in {"none", "unknown"}
        reason = next((text for name, text in reasons.items() if name and name in each.name.lower()), "")
        yield _Row(
            {
                "id": f"SoftServ-{each.name}",
                "description": "\n".join(about),
                "status": "\n".join(state),
                "justification": say("stated", text=reason) if reason else "",
                "authentication": f"AuthMech-{each.name}" if named else say(each.authentication),
            },
            each.evidence,
        )


def _reach(reach: str, say: _Say) -> str:
    return say("unknown") if reach == "unknown" else reach.upper() if reach in {"wan", "lan"} else reach


def _interfaces(report: Report, say: _Say) -> Iterator[_Row]:
    for console in report.device.consoles:
        protection = {True: "asks_login", False: "no_login", None: "unknown"}[console.authenticated]
        yield _Row(
            {
                "id": f"Intf-{console.tty}",
                "description": say("opens", tty=console.tty, command=console.command),
                "type": say("physical"),
                "status": say("enabled", answer=say("yes")),
                "debug": say("yes"),
                "protection": say(protection),
            },
            console.evidence,
        )
    for listener in report.device.listeners:
        decided = "; ".join(dict.fromkeys(each.text for each in listener.decided_by if each.text))
        yield _Row(
            {
                "id": f"Intf-{listener.protocol}{listener.port or ''}-{listener.service}",
                "description": f"{_port(listener)} {listener.address} ({listener.service})",
                "type": say("logical") if listener.reachable_from == "local" else say("network"),
                "status": say("reach", reach=_reach(listener.reachable_from, say)),
                "debug": say("no") if listener.reachable_from == "local" else "",
                "protection": say("packet_filter", text=decided) if decided else "",
            },
            listener.evidence,
        )


_TABLES: dict[str, Callable[[Report, _Say], Iterable[_Row]]] = {
    "auth": _authentication,
    "components": _components,
    "updates": _updates,
    "parameters": _parameters,
    "communication": _communication,
    "services": _services,
    "interfaces": _interfaces,
}
