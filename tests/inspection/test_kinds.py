"""Kinds are told from bytes alone."""

import gzip
import json
import lzma
import marshal
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwcheck.inspection.kinds import identify

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 1, 1, 8, 0, 0, 0, 0)
MO = struct.pack("<I", 0x950412DE) + bytes(24)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "empty"),
        (b"\x7fELF" + bytes(60), "elf"),
        (gzip.compress(b"x" * 99, mtime=0), "gzip"),
        (lzma.compress(b"x" * 99), "xz"),
        (lzma.compress(b"x" * 9999, format=lzma.FORMAT_ALONE), "lzma"),
        (zlib.compress(b"x" * 99), "binary"),
        (b"hsqs" + bytes(92), "squashfs"),
        (PNG, "png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "jpeg"),
        (b"GIF89a\1\0\1\0\0\0\0", "gif"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "wav"),
        (b"\xff\xf1\x6c\x40\x0a\x7f\xfc\0\0\0", "aac"),
        (MO, "gettext"),
        (b"SQLite format 3\0" + bytes(84), "sqlite"),
        (b"\xca\xfe\xba\xbe\0\0\0\x34\0\x10", "java-class"),
        (b"\xca\xfe\xba\xbe\0\0\0\2\1\0\0\7", "mach-o"),
        (b"\x1bLuaQ\0\1\4\4\4\x08\0", "lua-bytecode"),
        (struct.pack("<H2sII", 3495, b"\r\n", 0, 0) + bytes(4) + marshal.dumps(1), "pyc"),
        (b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0", "pe"),
        (b"!<arch>\ndebian-binary   ", "deb"),
        (b"!<arch>\n/               ", "ar"),
        (bytes(257) + b"ustar\x0000", "tar"),
        (b"070701" + b"0" * 104, "cpio"),
        (b"\x27\x05\x19\x56" + bytes(60), "uimage"),
        (b"\xd0\x0d\xfe\xed" + bytes(36), "dtb"),
        (bytes([0x30, 0x0E]) + b"\x02\x0c" + bytes(12), "der"),
        (b"-----BEGIN CERTIFICATE-----\nMIIB\n", "pem"),
        (b"root:x:0:0:root:/root:/bin/ash\n", "text"),
        ("naïve café\n".encode("latin-1") * 20, "text"),
        ("設定ファイル\n".encode("shift_jis") * 20, "text"),
        ("\ufeffkey=value\r\n".encode("utf-16-le"), "text"),
        (json.dumps({"a": [1, 2, {"b": None}]}).encode(), "json"),
        (b"{ not json at all }", "text"),
        (b"<?xml version='1.0'?>\n<device><name>x</name></device>", "xml"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "svg"),
        (b"<!DOCTYPE html>\n<html><body>x</body></html>", "html"),
        (b"<!-- c -->\n<html>", "html"),
        (b"<?php echo 1; ?>", "php"),
        (b"<config><user>admin</user></config>", "xml"),
        (b"/* theme */\nbody { margin: 0; color: #fff }\n.a:hover { color: red }", "css"),
        (b"// app\n'use strict';\nvar a = 1; function f(x) { return document.title === x; }", "javascript"),
        (bytes(range(256)) * 8, "binary"),
        (b"\0" * 64, "binary"),
    ],
)
def test_content_is_told_by_its_bytes(content, kind):
    assert identify(content).kind == kind
    assert identify(memoryview(content)).kind == kind


@pytest.mark.parametrize(
    ("line", "interpreter"),
    [
        (b"#!/bin/sh\n", "/bin/sh"),
        (b"#! /bin/sh /etc/rc.common\n", "/bin/sh"),
        (b"#!/bin/busybox ash -e\n", "/bin/busybox"),
        (b"#!/usr/bin/env python3\n", "python3"),
        (b"#!/usr/bin/env -S LANG=C lua -W\n", "lua"),
        (b"#!/usr/bin/lua\r\n", "/usr/bin/lua"),
        (b"#!/bin/sh", "/bin/sh"),
    ],
)
def test_a_script_names_its_interpreter(line, interpreter):
    found = identify(line + b"\n\necho x\n")
    assert (found.kind, found.interpreter) == ("script", interpreter)


@pytest.mark.parametrize(
    "content",
    [
        b"function start() {\n  if [ -x /sbin/x ]; then\n    /sbin/x &\n  fi\n}\nvar=1\n",
        b"subnet 10.0.0.0 netmask 255.0.0.0 {\n  range 10.0.0.2 10.0.0.9;\n}\n",
        b'options {\n  directory "/tmp";\n};\n',
        b'server.port = 80\nserver.modules = ( "mod_cgi" )\n',
        b'local x = require "uci"\nfunction f(a) return a.b end\n',
    ],
)
def test_configuration_and_shell_are_not_taken_for_web_files(content):
    assert identify(content).kind == "text"


@given(st.binary(max_size=600))
def test_any_bytes_have_a_kind(content):
    found = identify(content)
    assert found.kind
    assert (found.interpreter is None) or found.kind == "script"
