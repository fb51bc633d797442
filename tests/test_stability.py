"""Fingerprints outlive a rebuild: other dates, build ids, offsets, lines, packing and order of files change none of them."""

from __future__ import annotations

import io
import os
import random
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from fwcheck.gate import Baseline, Demands, evaluate, exit_status
from fwcheck.model import Report
from fwcheck.pipeline import Options, scan

SAMPLES = Path(__file__).parents[1] / "samples"
sys.path.insert(0, str(SAMPLES))

import build  # noqa: E402
from contents import COMMON, INSECURE, REPAIRED, Tree  # noqa: E402
from planted import PLANTED  # noqa: E402
from plants.plant import Change  # noqa: E402

KEPT = 0.98
BUILDERS = ("mksquashfs", "mkimage", "mkenvimage")


def rebuilt(tree: Tree) -> Tree:
    """The same tree from another build: shifted lines and offsets, another build id, a file more."""
    return {
        **{path: (mode, _shifted(held) if isinstance(held, bytes) else held) for path, (mode, held) in tree.items()},
        "/etc/build-id": (0o644, b"20261128-174502-9f3c1a\n"),
    }


def _shifted(content: bytes) -> bytes:
    if content.startswith(b"\x7fELF"):
        # The strings behind the tables move by what is put before the first of them.
        return content + b"\0GCC: (Buildroot 2026.08) 14.2.0\0build 20261128-174502 9f3c1ad27be0\0"
    first, end, rest = content.partition(b"\n")
    if first.startswith(b"#!"):
        return first + end + b"# built 2026-11-28 17:45:02 by ci-7\n\n" + rest
    return content


def together() -> list[Tree]:
    """The planted weaknesses in as few trees as will hold them; what several append to one file stands there in turn."""
    clean: Tree = {**COMMON, **REPAIRED}
    groups: list[dict[str, Change]] = []
    for plant in PLANTED:
        for group in groups:
            added = {path: _appended(clean.get(path), group.get(path, clean.get(path)), new) for path, new in plant.tree.items()}
            if all(path not in group or added[path] is not None for path in plant.tree):
                group.update({path: added[path] if path in group else new for path, new in plant.tree.items()})
                break
        else:
            groups.append(dict(plant.tree))
    return [{path: held for path, held in {**clean, **group}.items() if held is not None} for group in groups]


def _appended(base: Change, held: Change, new: Change) -> Change:
    """``held`` with the lines that ``new`` adds to ``base``; None where it does more than to add some."""
    if base is None or held is None or new is None:
        return None
    first, so_far, then = base[1], held[1], new[1]
    if not (isinstance(first, bytes) and isinstance(so_far, bytes) and isinstance(then, bytes) and then.startswith(first)):
        return None
    return held[0], so_far + then[len(first) :]


def packed(tree: Tree, seed: int, day: int) -> bytes:
    """A root file system as an archive, its files in an order of their own."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        files = list(tree.items())
        random.Random(seed).shuffle(files)
        for path, (mode, held) in files:
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.mode, entry.mtime = mode, 1_700_000_000 + 86_400 * day
            if isinstance(held, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, held
                archive.addfile(entry)
            else:
                entry.size = len(held)
                archive.addfile(entry, io.BytesIO(held))
    return raw.getvalue()


def scanned(path: Path, content: bytes) -> Report:
    path.write_bytes(content)
    return scan(path, Options(jobs=1))


def kept(old: Report, new: Report) -> float:
    """The share of the fingerprints that the new report still has."""
    before, after = ({each.fingerprint for each in report.findings} for report in (old, new))
    print(*(f"{each.rule} {each.location.path} {each.cause}" for each in old.findings if each.fingerprint not in after), sep="\n")
    return len(before & after) / len(before)


def new_reasons(new: Report, old: Report) -> tuple[str, ...]:
    """What a gate over a baseline of the old build says of the new one."""
    gate = evaluate(new, Demands(min_tier="STAR-1", min_score=100, fail_on="low"), baseline=Baseline(old, "old.json"))
    assert exit_status(gate) == (1 if gate.reasons else 0)
    return gate.reasons


def test_planted_weaknesses_keep_their_fingerprints_through_a_rebuild(tmp_path: Path) -> None:
    rules: set[str] = set()
    for number, tree in enumerate(together()[:2]):
        old = scanned(tmp_path / f"old-{number}.tar", packed(tree, 1, 0))
        new = scanned(tmp_path / f"new-{number}.tar", packed(rebuilt(tree), 2, 400))
        rules |= {each.rule for each in old.findings}
        assert kept(old, new) >= KEPT
        assert kept(new, old) >= KEPT
        assert new_reasons(new, old) == ()
    assert len(rules) >= 40


@pytest.mark.skipif(
    any(shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None for tool in BUILDERS),
    reason=f"needs {' '.join(BUILDERS)}",
)
def test_a_router_built_on_another_day_at_other_offsets_passes_over_its_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = scan(SAMPLES / "router-insecure.bin", Options(jobs=1))
    monkeypatch.setattr(build, "EPOCH", build.EPOCH + 400 * 86_400)
    monkeypatch.setattr(build, "KERNEL_AT", build.KERNEL_AT + 0x1000)
    boot = "bootdelay=3\nbootargs=console=ttyS0,115200 root=/dev/mtdblock3\nbootcmd=bootm 0x9000\n"
    new = scanned(tmp_path / "router.bin", build.image("3.10.14", boot, rebuilt({**COMMON, **INSECURE})))
    assert new.image.sha256 != old.image.sha256
    assert kept(old, new) >= KEPT
    assert kept(new, old) >= KEPT
    assert new_reasons(new, old) == ()
    worse = {**COMMON, **INSECURE, "/etc/passwd": (0o644, b"root:x:0:0:root:/root:/bin/sh\nadmin::0:0:admin:/:/bin/sh\n")}
    assert new_reasons(scanned(tmp_path / "worse.bin", build.image("3.10.14", boot, rebuilt(worse))), old)
