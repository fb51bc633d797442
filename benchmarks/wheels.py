"""Whether libraries of known versions inside binary wheels are identified, and nothing in wheels without them.

usage: python benchmarks/wheels.py [DIR]

DIR keeps the wheels (default: build/wheels under the current folder); what is missing is downloaded with pip. Without a network
nothing can be measured: it says so and ends with status 0. Versions were established from the wheels' own build recipes, from the
names of the bundled files and from the banners in them. Exit status 1 when a library is missed or a version is wrong.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

PROGRAM = [sys.executable, "-m", "fwcheck"]


class Wheel(NamedTuple):
    """A wheel by its requirement and tags, and what it bundles: component name to version."""

    requirement: str
    python: str
    abi: str
    platform: str
    bundled: dict[str, str]


WHEELS = (
    Wheel(
        "psycopg2-binary==2.7.4", "36", "cp36m", "manylinux1_x86_64",
        {"openssl": "1.0.2n", "zlib": "1.2.3", "cyrus-sasl": "2.1.22"},
    ),
    Wheel(
        "psycopg2-binary==2.9.3", "38", "cp38", "manylinux_2_17_x86_64",
        {"openssl": "1.1.1l", "kerberos_5": "1.15.1", "pcre": "8.32"},
    ),
    Wheel("cryptography==2.1.4", "36", "cp36m", "manylinux1_x86_64", {"openssl": "1.1.0g"}),
    Wheel("cryptography==3.4.7", "36", "abi3", "manylinux2014_aarch64", {"openssl": "1.1.1k"}),
    Wheel(
        "Pillow==5.0.0", "36", "cp36m", "manylinux1_x86_64",
        {"libjpeg": "9b", "libpng": "1.6.25", "libtiff": "4.0.9", "xz": "5.2.2", "zlib": "1.2.3", "freetype": "2.8.1",
         "libwebp": "0.6.1", "openjpeg": "2.1.0", "little_cms_color_engine": "2.8"},
    ),
    Wheel("lxml==3.8.0", "36", "cp36m", "manylinux1_x86_64", {"zlib": "1.2.11", "libxml2": "2.9.3", "libxslt": "1.1.29"}),
    Wheel("lxml==4.6.3", "38", "cp38", "manylinux2014_x86_64", {"zlib": "1.2.11", "libxml2": "2.9.10", "libxslt": "1.1.34"}),
    Wheel("pymssql==2.1.4", "36", "cp36m", "manylinux1_x86_64", {"freetds": "1.00.97"}),
    Wheel(
        "rasterio==1.2.0", "38", "cp38", "manylinux1_x86_64",
        {"curl": "7.54.0", "hdf5": "1.10.5", "libpng": "1.6.35", "netcdf": "4.6.2",
         "proj": "7.2.1", "sqlite": "3.33.0", "zstandard": "1.4.7"},
    ),
    Wheel("pygit2==1.9.0", "38", "cp38", "manylinux_2_17_x86_64", {"openssl": "1.0.2k", "libssh2": "1.10.0", "libgit2": "1.4.1"}),
    Wheel("numpy==1.19.5", "38", "cp38", "manylinux2010_x86_64", {"openblas": "0.3.13", "zlib": "1.2.3"}),
    Wheel("pyzmq==22.0.3", "38", "cp38", "manylinux2010_x86_64", {"zeromq": "4.3.4"}),
)  # fmt: skip
WITHOUT = (
    Wheel("six==1.15.0", "36", "none", "any", {}),
    Wheel("ujson==4.0.2", "38", "cp38", "manylinux1_x86_64", {}),
    Wheel("regex==2020.11.13", "38", "cp38", "manylinux2014_x86_64", {}),
    Wheel("MarkupSafe==1.1.1", "38", "cp38", "manylinux2010_x86_64", {}),
    Wheel("greenlet==1.0.0", "38", "cp38", "manylinux2010_x86_64", {}),
)


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/wheels")
    folder.mkdir(parents=True, exist_ok=True)
    right = every = false = 0
    for wheel in (*WHEELS, *WITHOUT):
        path = get(folder, wheel)
        if path is None:
            print(f"{wheel.requirement:26} cannot be had here: no network, or no longer there")
            continue
        begun = time.monotonic()
        found = _components(path)
        taken = time.monotonic() - begun
        missed = {name: version for name, version in wheel.bundled.items() if found.get(name) != {version}}
        extra = {name: versions for name, versions in found.items() if not wheel.bundled and versions}
        right += len(wheel.bundled) - len(missed)
        every += len(wheel.bundled)
        false += len(extra)
        told = "all" if wheel.bundled else "nothing, as it should be"
        if missed or extra:
            told = f"missed {missed}, false {extra}, found { ({name: sorted(found.get(name, ())) for name in missed}) }"
        print(f"{wheel.requirement:26} {taken:5.1f} s  {told}")
    print(f"{right} of {every} bundled libraries with the exact version; {false} in wheels without any")
    return 1 if right < every or false else 0


def get(folder: Path, wheel: Wheel) -> Path | None:
    """The wheel, downloaded where it is missing; None without a network."""
    name, _, version = wheel.requirement.partition("==")
    pattern = f"{name.replace('-', '_')}-{version}-*{wheel.platform}*.whl"
    if held := sorted(folder.glob(pattern)):
        return held[0]
    pip = [
        "python3",
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--only-binary=:all:",
        "--disable-pip-version-check",
        "-d",
        str(folder),
    ]
    tags = ["--python-version", wheel.python, "--implementation", "py" if wheel.abi == "none" else "cp", "--abi", wheel.abi]
    subprocess.run([*pip, *tags, "--platform", wheel.platform, wheel.requirement], check=False, capture_output=True)
    held = sorted(folder.glob(pattern))
    return held[0] if held else None


def _components(path: Path) -> dict[str, set[str]]:
    """Versions by name, without the wheel's own package."""
    run = subprocess.run([*PROGRAM, "sbom", "--quiet", str(path)], check=True, capture_output=True)
    found: dict[str, set[str]] = {}
    for each in json.loads(run.stdout)["components"]:
        if each["type"] != "cryptographic-asset" and not each.get("purl", "").startswith(("pkg:pypi/", "pkg:cargo/")):
            found.setdefault(each["name"], set()).add(each.get("version", ""))
    return found


if __name__ == "__main__":
    sys.exit(main())
