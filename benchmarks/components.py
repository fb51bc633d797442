"""Component versions side by side: fwcheck, cve-bin-tool and syft on the same images, wheels and rows of truth.

usage: python benchmarks/components.py --corpus DIR [--wheels DIR] [--cve-bin-tool PROGRAM] [--syft PROGRAM] [--only ID,ID]
                                       [--work DIR] [--verbose]

DIR holds a ``manifest.json`` whose rows name an image (``path``) and the versions in it (``truth.components``). The peers read
the tree that ``fwcheck extract`` writes, fwcheck the packed image: its seconds hold the unpacking, theirs do not. Each peer is
a program in an environment of its own; nothing of it is imported. cve-bin-tool wants a database of vulnerabilities and, for
SQLite, a page of the network: it is given one empty record and the check-in dates of SQLite's releases that we know.

found   rows of truth with the right version
missed  rows of truth without it
false   versions of a component of truth that the truth contradicts; in wheels without any library, whatever is named
others  versions of components that the truth does not speak of: printed with --verbose, to be judged by eye
seconds processor time

With ``--work`` the trees and what each tool said are kept there and not asked for again.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fwcheck.device.products import by_cpe, by_package
from fwcheck.inspection.catalogue import data_files

sys.path.insert(0, str(Path(__file__).resolve().parent))
import wheels as wheel_list  # the wheels and what is known of them

Versions = dict[str, set[str]]
_SOURCES = "NVD,OSV,GAD,REDHAT,CURL,EPSS,PURL2CPE,RSD"
_OFFLINE = ["--offline", "--disable-version-check", "-u", "never", "-d", _SOURCES, "-l", "critical"]
_TABLES = {
    "cve_severity": "cve_number severity description score cvss_version cvss_vector data_source last_modified",
    "cve_range": "cve_number vendor product version versionStartIncluding versionStartExcluding versionEndIncluding"
    " versionEndExcluding data_source",
    "cve_exploited": "cve_number product description",
    "cve_metrics": "cve_number metric_id metric_score metric_field",
    "metrics": "metrics_id metrics_name",
    "mismatch": "purl vendor",
    "purl2cpe": "purl cpe",
}


_BUILT_WITH = ("gcc", "clang")  # named by some as components: what the files were built with, true everywhere


class Case(NamedTuple):
    """One image or wheel and what is in it; ``whole``: the truth names everything."""

    name: str
    path: Path
    truth: Mapping[str, list[str]]
    whole: bool = False
    own: str = ""  # the package that a wheel itself is


class Tool(NamedTuple):
    """A tool: from a path to what it names; ``packed``: the path of the image itself, not of the extracted tree."""

    ask: Callable[[Path], Versions]
    packed: bool = False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--wheels", type=Path)
    parser.add_argument("--cve-bin-tool", default=shutil.which("cve-bin-tool"))
    parser.add_argument("--syft", default=shutil.which("syft"))
    parser.add_argument("--only", default="")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--verbose", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = asked.work or Path(scratch)
        tools: dict[str, Tool] = {"fwcheck": Tool(_fwcheck, packed=True)}
        if asked.cve_bin_tool:
            tools["cve-bin-tool"] = Tool(_cve_bin_tool(asked.cve_bin_tool, _home(work / "home")))
        if asked.syft:
            tools["syft"] = Tool(_syft(asked.syft))
        only = set(filter(None, asked.only.split(",")))
        for title, cases in (("images", _images(asked.corpus)), ("wheels", _wheels(asked.wheels))):
            held = [case for case in cases if not only or case.name in only]
            if held:
                _compare(title, held, tools, work, verbose=asked.verbose)
    return 0


def _compare(title: str, cases: list[Case], tools: Mapping[str, Tool], work: Path, *, verbose: bool) -> None:
    counts = {name: Counter[str]() for name in tools}
    seconds = dict.fromkeys(tools, 0.0)
    for case in cases:
        tree = work / "trees" / case.name
        if not tree.exists():
            command = [sys.executable, "-m", "fwcheck", "extract", "--quiet", "-o", str(tree), str(case.path)]
            subprocess.run(command, check=False, capture_output=True)
        for name, tool in tools.items():
            found, spent = _asked(tool, case.path if tool.packed else tree, work / "told" / f"{case.name}.{name}.json")
            seconds[name] += spent
            told = _judged(case, found)
            counts[name].update({key: len(rows) for key, rows in told.items()})
            if verbose:
                for key in ("missed", "false", "others"):
                    print(f"  {case.name:26} {name:13} {key:7} {' '.join(told[key])}")
        print(f"{case.name:30} done at {time.strftime('%H:%M:%S')}", file=sys.stderr, flush=True)
    print(f"{title}: {len(cases)}, rows of truth: {sum(len(case.truth) for case in cases)}")
    print(f"{'':14}{'found':>7}{'missed':>8}{'false':>7}{'others':>8}{'seconds':>9}")
    for name, count in counts.items():
        row = "".join(f"{count[key]:>{width}}" for key, width in (("found", 7), ("missed", 8), ("false", 7), ("others", 8)))
        print(f"{name:14}{row}{seconds[name]:>9.0f}")


def _judged(case: Case, found: Versions) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {"found": [], "missed": [], "false": [], "others": []}
    for name, wanted in case.truth.items():
        right = {version.lower() for version in wanted}
        have = {version.lower() for version in found.get(name, set())}
        told["found" if have & right else "missed"].append(f"{name}@{'|'.join(wanted)}")
        told["false"] += [f"{name}@{version}" for version in sorted(have - right)]
    rest = [f"{name}@{version}" for name in sorted(found.keys() - case.truth.keys()) for version in sorted(found[name])]
    told["false" if case.whole else "others"] += [each for each in rest if each.partition("@")[0] not in (*_BUILT_WITH, case.own)]
    return told


def _asked(tool: Tool, path: Path, kept: Path) -> tuple[Versions, float]:
    """What a tool names and its processor seconds, from an earlier run where that was kept."""
    if kept.exists():
        found, spent = json.loads(kept.read_text(encoding="utf-8"))
        return {name: set(versions) for name, versions in found.items()}, spent
    begun = _spent()
    told = tool.ask(path)
    spent = _spent() - begun
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps([{name: sorted(versions) for name, versions in told.items()}, spent]), encoding="utf-8")
    return told, spent


def _spent() -> float:
    """Processor seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# --------------------------------------------------------------------------- cases


def _images(corpus: Path) -> Iterator[Case]:
    for row in json.loads((corpus / "manifest.json").read_text(encoding="utf-8")):
        truth = {name: held if isinstance(held, list) else [held] for name, held in row["truth"].get("components", {}).items()}
        if truth and (corpus / row["path"]).exists():
            yield Case(row["id"], corpus / row["path"], truth)


def _wheels(folder: Path | None) -> Iterator[Case]:
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for wheel in (*wheel_list.WHEELS, *wheel_list.WITHOUT):
        if (path := wheel_list.get(folder, wheel)) is not None:
            yield Case(
                path.name.removesuffix(".whl"),
                path,
                {name: [version] for name, version in wheel.bundled.items()},
                whole=not wheel.bundled,
                own=wheel.requirement.partition("==")[0].lower(),
            )


# --------------------------------------------------------------------------- tools


def _fwcheck(image: Path) -> Versions:
    run = subprocess.run([sys.executable, "-m", "fwcheck", "sbom", "--quiet", str(image)], check=True, capture_output=True)
    return _named(
        (each["name"], each.get("version"))
        for each in json.loads(run.stdout)["components"]
        if each["type"] != "cryptographic-asset" and not each.get("purl", "").startswith(("pkg:pypi/", "pkg:cargo/"))
    )


def _cve_bin_tool(program: str, home: Path) -> Callable[[Path], Versions]:
    def ask(tree: Path) -> Versions:
        target = home / "told.json"
        target.unlink(missing_ok=True)
        output = ["-f", "json", "-o", str(home / "report.json"), "--sbom-output", str(target)]
        command = [program, *_OFFLINE, *output, "--sbom-type", "cyclonedx", "--sbom-format", "json", str(tree)]
        subprocess.run(command, check=False, capture_output=True, env=os.environ | {"HOME": str(home)})
        (home / "report.json").unlink(missing_ok=True)
        if not target.exists():
            return {}
        held: list[dict[str, Any]] = json.loads(target.read_text(encoding="utf-8")).get("components", [])
        return _named((_project(each["name"], [each.get("cpe", "")]), each.get("version")) for each in held)

    return ask


def _syft(program: str) -> Callable[[Path], Versions]:
    def ask(tree: Path) -> Versions:
        command = [program, "scan", f"dir:{tree}", "--quiet", "-o", "syft-json"]
        run = subprocess.run(command, check=False, capture_output=True)
        held = json.loads(run.stdout)["artifacts"] if run.stdout else []
        return _named(
            (
                _project(each["name"], [cpe["cpe"] for cpe in each.get("cpes", ())]),
                _upstream(each["name"], each["version"], each["type"]),
            )
            for each in held
            if each["type"] not in ("python", "rust-crate")
        )

    return ask


def _upstream(name: str, version: str, kind: str) -> str:
    """Without epoch and revision of a distribution: what the truth names is the project's own version."""
    if name == "kernel":  # 4.4.92-1-45d282495a15974d60f8edb091d0e2a9
        return version.split("-", 1)[0]
    return version.partition(":")[2].rsplit("-", 1)[0] or version.rsplit("-", 1)[0] if kind in ("deb", "apk", "rpm") else version


def _project(name: str, cpes: list[str]) -> str:
    """Our name for what a peer names by CPE, by package, or by the same word."""
    for cpe in cpes:
        fields = cpe.removeprefix("cpe:/").removeprefix("cpe:2.3:").split(":")
        if found := by_cpe().get(":".join(fields[1:3])):
            return found
    return by_package().get(name, name.lower())


def _named(held: Iterator[tuple[str, str | None]]) -> Versions:
    found: Versions = {}
    for name, version in held:
        if version and version not in ("UNKNOWN", "None"):
            found.setdefault(name, set()).add(version)
    return found


def _home(home: Path) -> Path:
    """A home for cve-bin-tool, with the least that it starts with when there is no network."""
    folder = home / ".cache" / "cve-bin-tool"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with sqlite3.connect(folder / "cve.db") as base:
        for table, columns in _TABLES.items():
            base.execute(f"CREATE TABLE {table} ({', '.join(columns.split())})")
        base.execute("INSERT INTO cve_severity VALUES ('CVE-1999-0001', 'LOW', '', 1, 2, '', 'NVD', '')")
    entries = tomllib.loads(data_files()["banners.toml"].decode())["banner"]
    releases = next(entry["releases"] for entry in entries if entry["id"] == "sqlite-source")
    with sqlite3.connect(folder / "version_map.db") as base:
        base.execute("CREATE TABLE sqlite (version TEXT, sourceId TEXT PRIMARY KEY)")
        base.executemany("INSERT INTO sqlite VALUES (?, ?)", [(version, f"{date}----") for date, version in releases.items()])
        base.execute("CREATE TABLE latest_update_sqlite (datestamp DATETIME PRIMARY KEY)")
        base.execute("INSERT INTO latest_update_sqlite VALUES (?)", (time.time(),))
    return home


if __name__ == "__main__":
    sys.exit(main())
