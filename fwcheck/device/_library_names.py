"""Versions that stand in names: of shared libraries, of module and plug-in directories.

A library's file name holds its project's version only where the project's build puts it there; each entry says how. Numbers of
the binary interface (``libssl.so.1.0.0``, ``libcurl.so.4.3.0``) are none and are not listed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, NamedTuple

Confidence = Literal["certain", "firm", "tentative"]


class Named(NamedTuple):
    """A component version read from a name."""

    component: str
    version: str
    confidence: Confidence


def _plain(match: re.Match[str]) -> str:
    return match[1]


def _libpng(match: re.Match[str]) -> str:
    """libpng16.so.16.37.0 is 1.6.37: configure.ac gives the release as the library's minor number."""
    return f"1.{match[1]}.{match[2]}"


def _libtool(major: int) -> Callable[[re.Match[str]], str]:
    """GLib and GStreamer: the interface number is 100 x minor + micro, less the age of the interface, which stands behind it."""

    def version(match: re.Match[str]) -> str:
        number, age = int(match[1]), int(match[2])
        return f"{major}.{number // 100}.{number % 100 + age}"

    return version


_LIBRARIES: tuple[tuple[str, str, Confidence, Callable[[re.Match[str]], str]], ...] = (
    ("uclibc", r"(?:libuClibc|ld-uClibc|ld32-uClibc|ld64-uClibc)-(0\.9\.\d{1,2}(?:\.\d{1,2})?)\.so", "certain", _plain),
    ("uclibc-ng", r"(?:libuClibc|ld-uClibc|ld32-uClibc|ld64-uClibc)-(1\.\d{1,2}\.\d{1,2})\.so", "certain", _plain),
    ("glibc", r"(?:libc|ld|libpthread)-(2\.\d{1,2}(?:\.\d{1,2})?)\.so", "firm", _plain),
    ("zlib", r"libz\.so\.(1\.\d\.\d{1,2}(?:\.\d{1,2})?)", "firm", _plain),
    ("libxml2", r"libxml2\.so\.(2\.\d{1,2}\.\d{1,2})", "firm", _plain),
    ("libxslt", r"libxslt\.so\.(1\.1\.\d{1,2})", "firm", _plain),
    ("libpcap", r"libpcap\.so\.([01]\.\d{1,2}\.\d{1,2})", "firm", _plain),
    ("mbed_tls", r"libmbed(?:tls|crypto|x509)\.so\.([123]\.\d{1,2}\.\d{1,2})", "firm", _plain),
    ("polarssl", r"libpolarssl\.so\.([01]\.\d\.\d{1,2})", "firm", _plain),
    ("xz", r"liblzma\.so\.(5\.\d\.\d{1,2})", "firm", _plain),
    ("lua", r"liblua(?:5\.\d|-5\.\d)?\.so\.(5\.\d\.\d)", "firm", _plain),
    ("perl", r"libperl\.so\.(5\.\d{1,2}\.\d{1,2})", "firm", _plain),
    ("ncurses", r"lib(?:ncurses|tinfo)w?\.so\.([56]\.\d)", "firm", _plain),
    ("readline", r"libreadline\.so\.([5-9]\.\d)", "firm", _plain),
    ("boost", r"libboost_[a-z_0-9]+(?:-mt)?\.so\.(1\.\d{2}\.\d)", "firm", _plain),
    ("qt", r"libQt[56]?Core\.so\.([456]\.\d{1,2}\.\d{1,2})", "firm", _plain),
    ("international_components_for_unicode", r"libicuuc\.so\.(\d{2}\.\d{1,2})", "firm", _plain),
    ("mosquitto", r"libmosquitto\.so\.([12]\.\d{1,2}\.\d{1,2})", "firm", _plain),
    ("libpng", r"libpng1([0-9])\.so\.(?:0|1\d)\.(\d{1,2})\.0", "firm", _libpng),
    ("glib", r"libglib-2\.0\.so\.0\.(\d{3,5})\.(\d{1,2})", "firm", _libtool(2)),
    ("gstreamer", r"libgstreamer-1\.0\.so\.0\.(\d{3,4})\.(0)", "firm", _libtool(1)),
)
_COMPILED = tuple((name, re.compile(rf"^{pattern}$"), sure, read) for name, pattern, sure, read in _LIBRARIES)
_KERNEL = re.compile(r"^([2-7]\.\d{1,2}(?:\.\d{1,3}){0,2}(?:-rc\d{1,2})?)(.*)$")
# Debian, Ubuntu and their like number the interface, not the release: 6.1.0-50-armmp, 5.15.0-91-generic.
_INTERFACE = re.compile(r"^\d+\.\d+\.0-\d+(?:[.-]|$)")


# Bundling tools put a piece of a hash into the name: liblzma-f444c404.so.5.2.2.
_BUNDLED = re.compile(r"-[0-9a-f]{8}(?=\.so)")


def library(name: str) -> Named | None:
    """What the base name of a shared library says, None when it says nothing of a release."""
    name = _BUNDLED.sub("", name)
    for component, pattern, confidence, read in _COMPILED:
        if match := pattern.match(name):
            return Named(component, read(match), confidence)
    return None


def kernel_release(release: str) -> str | None:
    """The upstream version in a kernel release (``uname -r``, module directory, vermagic); None when it holds none."""
    words = release.split()
    match = _KERNEL.match(words[0]) if words else None
    return match[1] if match and not _INTERFACE.match(words[0]) else None
