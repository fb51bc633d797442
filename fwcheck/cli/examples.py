"""Examples for the help of each command: command lines that the tests parse, and what they are for."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "": (
        ("fwcheck scan router.bin", "what speaks against STAR-1, on the terminal"),
        ("fwcheck scan router.bin --format json,html --output out", "reports as files"),
        ("fwcheck explain S1.1-08", "what a criterion asks, and what an image can say of it"),
    ),
    "scan": (
        ("fwcheck scan router.bin", "a summary on the terminal"),
        ("fwcheck scan router.bin --format json > report.json", "the report for programs"),
        ("fwcheck scan *.bin --format html,sarif --output out", "files, named after the images"),
        ("fwcheck scan router.bin --min-tier STAR-1 --fail-on high", "a gate: exit status 1 when it fails"),
        ("fwcheck scan router.bin --product product.toml --target STAR-2", "held against what the maker states"),
    ),
    "gate": (
        ("fwcheck gate report.json --min-score 60", "a gate on a report made earlier"),
        ("fwcheck gate report.json --fail-on high --baseline last.json", "only new findings fail"),
    ),
    "tree": (
        ("fwcheck tree router.bin", "containers and files with offsets and modes"),
        ("fwcheck tree router.bin --format json", "the same for programs"),
    ),
    "cat": (
        ("fwcheck cat router.bin /etc/passwd", "one file"),
        ("fwcheck cat router.bin 'router.bin › squashfs@0x9000 › /etc/passwd'", "by its whole address"),
    ),
    "extract": (("fwcheck extract router.bin --output tree", "everything, safely, below one directory"),),
    "sbom": (
        ("fwcheck sbom router.bin > router.cdx.json", "CycloneDX"),
        ("fwcheck sbom router.bin --format spdx > router.spdx.json", "SPDX"),
    ),
    "diff": (
        ("fwcheck diff 1.0.bin 1.1.bin", "what the new build changed"),
        ("fwcheck diff old.json new.json --format json", "of two reports, for programs"),
    ),
    "audit": (
        ("fwcheck audit firmware/ --output audit", "a folder of images; again to go on after an interruption"),
        ("fwcheck audit a.bin b.bin --format json --min-tier STAR-1", "these, with a gate for each"),
        ("fwcheck audit firmware/ --exclude '*.zip' --retry-failed", "without archives, failed ones once more"),
    ),
    "explain": (
        ("fwcheck explain UPD-003", "a rule: why it matters, how to mend it"),
        ("fwcheck explain all", "every rule and criterion"),
    ),
    "level": (
        ("fwcheck level", "which level suits a product, by questions"),
        ("fwcheck level --product product.toml --format json", "by what the maker states"),
    ),
    "db": (
        ("fwcheck db info", "date and size of the knowledge in use"),
        ("fwcheck db import nvdcve-2.0-2026.json.gz kev.csv", "on a machine without a network"),
    ),
    "completion": (
        ("fwcheck completion bash > ~/.local/share/bash-completion/completions/fwcheck", "for bash"),
        ("fwcheck completion zsh > ~/.zfunc/_fwcheck", "for zsh, with ~/.zfunc in fpath"),
        ("fwcheck completion fish > ~/.config/fish/completions/fwcheck.fish", "for fish"),
    ),
}
