"""A rehearsal: a small image of our own is read, so that everything a scan loads when it is first needed is there already.

Done once by the process that forks the children (:mod:`fwcheck.service.preloaded`). Nothing of it shows in any report.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import pkgutil
import tempfile
import zipfile
from pathlib import Path

from fwcheck.extraction.explore import Explorer
from fwcheck.extraction.registry import registered
from fwcheck.pipeline import InputError, Options, open_image, prepare, scan
from fwcheck.reading import Reader
from fwcheck.reports.json import render

_ROOMS = ("inspection", "device", "analysers", "jcstar", "vulnerabilities")
# What most images have: each file wakes the readers, tables and rules of its kind.
_FILES = {
    "etc/passwd": "root:$1$abcdefgh$0123456789012345678901:0:0:root:/root:/bin/sh\nnobody:*:65534:65534::/:/bin/false\n",
    "etc/inittab": "::sysinit:/etc/init.d/rcS\nttyS0::askfirst:/bin/sh\n",
    "etc/init.d/rcS": "#!/bin/sh\nmount -t proc proc /proc\ntelnetd -l /bin/sh &\ndropbear -p 22\nhttpd -h /www\n",
    "etc/dropbear/config": "config dropbear\n\toption PasswordAuth 'on'\n",
    "etc/os-release": 'NAME="OpenWrt"\nVERSION="18.06.1"\nID="openwrt"\n',
    "etc/ssl/key.pem": "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\n",
    "www/index.html": "<html><script src='a.js'></script><form action='/cgi-bin/login'></form></html>\n",
    "www/cgi-bin/login.lua": "local name = os.getenv('QUERY_STRING')\nos.execute('echo ' .. name)\n",
    "bin/busybox": "\0BusyBox v1.20.2 (2013-01-01 00:00:00 UTC)\0",
    "lib/libssl.so": "\0OpenSSL 1.0.2k  26 Jan 2017\0",
    "usr/sbin/dnsmasq": "\0dnsmasq-2.62\0Dropbear sshd v2012.55\0",
    "boot/kernel": "\0Linux version 3.10.14 (root@build) (gcc version 4.6.3) #1 Mon Jan 1 00:00:00 UTC 2018\0",
}


def rehearse(cache: Path | None, database: Path | None) -> None:
    """Loads everything. A knowledge file that is none is passed over: a scan says what is wrong with it."""
    with contextlib.suppress(InputError):
        prepare(Options(cache=cache, database=database))
    registered()
    for room in _ROOMS:
        package = importlib.import_module(f"fwcheck.{room}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    with tempfile.NamedTemporaryFile(prefix="fwcheck-") as file, contextlib.suppress(InputError):
        file.write(_image())
        file.flush()
        options = Options(name="rehearsal", jobs=1, database=database)
        _contents(Path(file.name), options)
        render(scan(Path(file.name), options))


def _contents(path: Path, options: Options) -> None:
    """What is done in workers of a scan, done here: what they load goes with them."""
    source = open_image(path)
    explorer = Explorer(options.limits.metered(source.size))
    reader = Reader(explorer, None)
    for item in explorer.explore(source, (options.name,), 1).items:
        reader.read(item)


def _image() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _FILES.items():
            archive.writestr(name, content)
    return buffer.getvalue()
