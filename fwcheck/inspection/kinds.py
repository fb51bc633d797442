"""What a content is, told from its first bytes and its shape alone: a file's name never counts.

``kind`` is a short lower-case word (see ``_PREFIXES`` and the functions below): "elf", "script", "text", "html", "json", "png",
"gzip", "squashfs", ... "binary" where nothing known fits, "empty" for no bytes at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import msgspec

_SAMPLE = 8192  # bytes looked at to tell text from binary
_JSON_LIMIT = 1 << 20  # larger documents are judged by their shape


class Kind(NamedTuple):
    """The kind of a content, and of a script its interpreter ("/bin/sh"; for ``/usr/bin/env x`` the word ``x``)."""

    kind: str
    interpreter: str | None = None


# Magic numbers at offset 0: each is the value given by the format's specification or by the header of its reference code.
_PREFIXES: tuple[tuple[bytes, str], ...] = (
    (b"\x7fELF", "elf"),
    (b"\x1f\x8b\x08", "gzip"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x02\x21\x4c\x18", "lz4"),
    (b"\x89LZO\x00\r\n\x1a\n", "lzop"),
    (b"LZIP\x01", "lzip"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"MSCF\x00\x00\x00\x00", "cab"),
    (b"\xed\xab\xee\xdb", "rpm"),
    (b"070701", "cpio"),
    (b"070702", "cpio"),
    (b"070707", "cpio"),
    (b"\xc7\x71", "cpio"),
    (b"hsqs", "squashfs"),
    (b"sqsh", "squashfs"),
    (b"shsq", "squashfs"),
    (b"qshs", "squashfs"),
    (b"sqlz", "squashfs"),
    (b"tqsh", "squashfs"),
    (b"hsqt", "squashfs"),
    (b"\x45\x3d\xcd\x28", "cramfs"),
    (b"\x28\xcd\x3d\x45", "cramfs"),
    (b"-rom1fs-", "romfs"),
    (b"UBI#", "ubi"),
    (b"\x31\x18\x10\x06", "ubifs"),
    (b"\x85\x19\x03\x20", "jffs2"),
    (b"\x85\x19\x01\xe0", "jffs2"),
    (b"\x85\x19\x02\xe0", "jffs2"),
    (b"\x19\x85\x20\x03", "jffs2"),
    (b"\x19\x85\xe0\x01", "jffs2"),
    (b"\x19\x85\xe0\x02", "jffs2"),
    (b"\x27\x05\x19\x56", "uimage"),
    (b"\xd0\x0d\xfe\xed", "dtb"),
    (b"HDR0", "trx"),
    (b"ANDROID!", "android-boot"),
    (b"\x3a\xff\x26\xed", "android-sparse"),
    (b"LUKS\xba\xbe", "luks"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"wOFF", "woff"),
    (b"wOF2", "woff2"),
    (b"OTTO", "otf"),
    (b"\x00\x01\x00\x00\x00", "ttf"),
    (b"true\x00", "ttf"),
    (b"OggS\x00", "ogg"),
    (b"fLaC\x00", "flac"),
    (b"ID3", "mp3"),
    (b"#!AMR", "amr"),
    (b"FLV\x01", "flv"),
    (b"\x1a\x45\xdf\xa3", "matroska"),
    (b"FWS", "swf"),
    (b"CWS", "swf"),
    (b"%PDF-", "pdf"),
    (b"\x1bLua", "lua-bytecode"),
    (b"\x1bLJ", "lua-bytecode"),
    (b"dex\n03", "dex"),
    (b"\x00asm\x01\x00\x00\x00", "wasm"),
    (b"SQLite format 3\x00", "sqlite"),
    (b"\x13\x57\x9a\xce", "gdbm"),
    (b"\xce\x9a\x57\x13", "gdbm"),
    (b"\xfe\xed\xfe\xed", "jks"),
    (b"\xde\x12\x04\x95", "gettext"),
    (b"\x95\x04\x12\xde", "gettext"),
    (b"TZif", "timezone"),
    (b"\x1a\x01", "terminfo"),
    (b"\x1e\x02", "terminfo"),
    (b"\xd4\xc3\xb2\xa1", "pcap"),
    (b"\xa1\xb2\xc3\xd4", "pcap"),
    (b"\x0a\x0d\x0d\x0a", "pcapng"),
    (b"\xce\xfa\xed\xfe", "mach-o"),
    (b"\xcf\xfa\xed\xfe", "mach-o"),
    (b"ld.so-1.7.0\x00", "ld.so.cache"),
    (b"glibc-ld.so.cache", "ld.so.cache"),
    (b"openssh-key-v1\x00", "openssh-key"),
)

_BY_FIRST: dict[int, list[tuple[bytes, str]]] = {}
for _prefix, _kind in _PREFIXES:
    _BY_FIRST.setdefault(_prefix[0], []).append((_prefix, _kind))

# PEP 552 and Lib/importlib/_bootstrap_external.py: a two-byte counter followed by CR LF; 3.x and 2.x counters.
_PYC = re.compile(rb"(?s)(?:..\r\n)")
_SHEBANG = re.compile(rb"#!\s*(\S+)(?:[ \t]+([^\r\n]*))?")
_COMMENTS = re.compile(rb"(?s)\A(?:\xef\xbb\xbf)?(?:\s+|/\*.*?\*/|//[^\n]*\n|<!--.*?-->)*")
_HTML = re.compile(rb"(?i)<(?:!doctype\s+html|html|head|body|script|title|meta|div|table|form|frameset|style|link|center|span)\b")
_PHP = re.compile(rb"<\?(?:php\b|=|\s)")
_XML = re.compile(rb"<\?xml\b")
_TAG = re.compile(rb"<[A-Za-z_][\w:.-]*(?:\s[^<>]*)?/?>")
_CSS = re.compile(
    rb"(?:\A|[};\s])(?:@(?:charset|import|media|font-face|keyframes)\b|[\w.#*:@\[\]=\"' ,>~+\r\n-]+\{\s*(?:/\*.*?\*/\s*)?"
    rb"(?:-(?:webkit|moz|ms|o)-[a-z-]+|color|margin|padding|font|width|height|display|background|border|text|position|float|"
    rb"overflow|line-height|list-style|top|left|right|bottom|cursor|clear|z-index|vertical-align|src|box-sizing|opacity|min|max"
    rb")[a-z-]*\s*:)"
)
_JS_START = re.compile(
    rb"(?:[!;(+~\s]*\(?\s*(?:async\s+)?function\b|var\s|let\s|const\s|import\s|export\s|define\(|require\(|window[.\[]|document\.|"
    rb"[\"']use strict[\"']|\$\(|jQuery|[A-Za-z_$][\w$.]*\s*=\s*(?:function\b|\{|\[|new\s|\()|if\s*\(typeof|try\s*\{|[(!]+\s*\(?)"
)
_JS_MARKS = re.compile(
    rb"\bfunction\s*[\w$]*\s*\([\w$\s,]*\)\s*\{|\bvar\s+[\w$]+\s*[=;,]|\bdocument\.\w|\bwindow\.\w|===|!==|=>|\.prototype\b|"
    rb"\btypeof\s|\bnew\s+(?:Array|Object|Date|RegExp|Error)\b|\.(?:length|innerHTML|getElementById|addEventListener)\b|\bnull;"
)
# Openings that no other language of firmware shares: a declaration with "var", a call of jQuery, a strict-mode mark.
_JS_CERTAIN = re.compile(
    rb"(?:var|let|const)\s+[A-Za-z_$][\w$]*\s*(?:=\s*[^\s=]|;|,)|[\"']use strict[\"']|"
    rb"(?:\$|jQuery)\((?:document|function|window|[\"'][.#])|[!;(]\s*function\s*\(|import\s+[\w${}*, ]+\sfrom\s|"
    rb"function\s+[\w$]+\s*\([\w$\s,]*\)\s*\{\s*(?:var\s|return\b|if\s*\(|\$\([\"'])"
)
_SHELL_MARKS = re.compile(rb"(?m)^\s*(?:fi|done|esac|then|elif .*; then|\. /\S+)\s*;?;?\s*$|\$\{[A-Za-z_]|\$[0-9#?@]|\[ -[a-z] ")
_NOT_TEXT = bytes(range(0x20, 0x7F)) + b"\t\n\r\f\x1b\x08" + bytes(range(0x80, 0x100))


def identify(content: bytes | memoryview) -> Kind:
    """The kind of a content. Looks at the first 8 KiB, and further only to tell ``json`` from text. Never raises."""
    if not len(content):
        return Kind("empty")
    head = bytes(content[:_SAMPLE])
    for prefix, kind in _BY_FIRST.get(head[0], ()):
        if head.startswith(prefix):
            return Kind(kind)
    if (kind_or_none := _by_shape(content, head)) is not None:
        return Kind(kind_or_none)
    if is_text(head):
        return _text_kind(content, head)
    return Kind("binary")


def is_text(head: bytes) -> bool:
    """Whether bytes read as text: no NUL, control characters rare, or UTF-16 with a byte-order mark."""
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return _is_utf16(head)
    if b"\0" in head:
        return False
    odd = len(head.translate(None, _NOT_TEXT))
    if odd * 50 > len(head):
        return False
    if head.isascii():
        return True
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        # A sequence cut by the sample's end is no fault of the text.
        if error.start >= len(head) - 3:
            return True
        high = len(head.translate(None, bytes(range(0x80))))
        # Latin-1, Shift_JIS, GBK or EUC text: mostly lines of ASCII around it, and no stray control characters.
        return odd == 0 and (high * 3 < len(head) or b"\n" in head)
    return True


def _is_utf16(head: bytes) -> bool:
    order = "utf-16-le" if head[:2] == b"\xff\xfe" else "utf-16-be"
    words = head[2 : 2 + (len(head) - 2 & ~1)].decode(order, "replace")
    plain = sum(char.isprintable() or char in "\r\n\t" for char in words[:512])
    return len(words) > 0 and plain * 10 >= 9 * min(len(words), 512) and "�" not in words[:-1]


def _by_shape(content: bytes | memoryview, head: bytes) -> str | None:
    return next((kind for test in _SHAPES if (kind := test(content, head)) is not None), None)


def _archive(_content: bytes | memoryview, head: bytes) -> str | None:
    if head.startswith(b"!<arch>\n"):
        return "deb" if head[8:21] == b"debian-binary" else "ar"
    if head[257:262] == b"ustar":
        return "tar"
    if head.startswith(b"BZh") and head[4:10] == b"1AY&SY":
        return "bzip2"
    # LZMA-alone header: properties, dictionary of a power of two, unpacked size known (below 4 GiB) or all ones.
    if head[:1] in {b"\x5d", b"\x6d", b"\x5e"} and len(head) > 13:
        dictionary = int.from_bytes(head[1:5], "little")
        size = int.from_bytes(head[5:13], "little")
        if dictionary.bit_count() == 1 and dictionary >= 4096 and (size == (1 << 64) - 1 or 0 < size < 1 << 32) and head[13] == 0:
            return "lzma"
    return None


def _riff_and_boxes(_content: bytes | memoryview, head: bytes) -> str | None:
    if head.startswith(b"RIFF") and len(head) >= 12:
        return {b"WAVE": "wav", b"AVI ": "avi", b"WEBP": "webp"}.get(head[8:12])
    if head[4:8] == b"ftyp" and head[0] == 0:
        return "mp4"
    if head[:2] in {b"\xff\xf1", b"\xff\xf9"} and len(head) > 7 and (head[2] >> 2 & 15) < 13 and b"\0" in head:
        return "aac"  # ADTS, ISO/IEC 13818-7: synchronisation word, sampling index
    if head[:2] == b"\xff\xfb" or head[:2] == b"\xff\xf3":
        return "mp3" if len(head) > 4 and head[2] >> 4 not in {0, 15} and b"\0" in head else None
    if head[:2] == b"BM" and len(head) >= 26 and int.from_bytes(head[14:18], "little") in {12, 40, 52, 56, 64, 108, 124}:
        return "bmp"
    if head[:4] in {b"\0\0\1\0", b"\0\0\2\0"} and 0 < int.from_bytes(head[4:6], "little") < 64 and head[9:10] == b"\0":
        return "ico"
    return None


def _programs(content: bytes | memoryview, head: bytes) -> str | None:
    if head[:2] == b"MZ" and len(head) >= 0x40:
        at = int.from_bytes(head[0x3C:0x40], "little")
        return "pe" if bytes(content[at : at + 4]) == b"PE\0\0" else "dos-exe" if b"\0" in head else None
    if head.startswith(b"\xca\xfe\xba\xbe") and len(head) >= 8:
        # Java class files and fat Mach-O share the magic: the class file's major version starts at 45 (JVM specification 4.1).
        return "java-class" if int.from_bytes(head[6:8], "big") >= 45 else "mach-o"
    if _PYC.match(head) and len(head) >= 16:
        counter = int.from_bytes(head[:2], "little")
        if 3000 <= counter < 3700 and int.from_bytes(head[4:8], "little") < 4:
            return "pyc"
        if 62000 <= counter < 62300:
            return "pyc"
    return None


def _file_systems(_content: bytes | memoryview, head: bytes) -> str | None:
    if head[0x438:0x43A] == b"\x53\xef" and int.from_bytes(head[0x418:0x41C], "little") <= 6:
        return "ext"
    if head[0x400:0x404] == b"\xe2\xe1\xf5\xe0":
        return "erofs"
    if head[510:512] == b"\x55\xaa" and (head[54:57] == b"FAT" or head[82:87] == b"FAT32"):
        return "fat"
    return None


def _der(content: bytes | memoryview, head: bytes) -> str | None:
    """A SEQUENCE that fills the content, and begins like a certificate, a key or a PKCS container (X.690)."""
    if head[0] != 0x30 or len(head) < 16:
        return None
    if head[1] < 0x80:
        length, at = head[1], 2
    else:
        count = head[1] & 0x7F
        if not 1 <= count <= 4:
            return None
        length, at = int.from_bytes(head[2 : 2 + count], "big"), 2 + count
    if length + at != len(content) or head[at] not in {0x02, 0x30, 0x06}:
        return None
    return "der"


_SHAPES: tuple[Callable[[bytes | memoryview, bytes], str | None], ...] = (
    _archive,
    _riff_and_boxes,
    _programs,
    _file_systems,
    _der,
)


def _text_kind(content: bytes | memoryview, head: bytes) -> Kind:
    if head.startswith(b"#!"):
        interpreter = _interpreter(head)
        if interpreter is not None:
            return Kind("script", interpreter)
    opening = _COMMENTS.match(head)
    start = head[opening.end() :] if opening is not None else head
    if start.startswith(b"-----BEGIN "):
        return Kind("pem")
    if _PHP.match(start):
        return Kind("php")
    if start.startswith(b"<"):
        return Kind(_markup(start))
    if start[:1] in {b"{", b"["} and _is_json(content, start):
        return Kind("json")
    if start.startswith(b"@charset") or _looks_css(start):
        return Kind("css")
    if _looks_javascript(start):
        return Kind("javascript")
    return Kind("text")


def _interpreter(head: bytes) -> str | None:
    """The program of a ``#!`` line; behind ``env`` the first word that is neither an option nor an assignment."""
    found = _SHEBANG.match(head)
    if found is None:
        return None
    program = found[1].decode("utf-8", "replace")
    if program.rsplit("/", 1)[-1] == "env":
        words = (found[2] or b"").decode("utf-8", "replace").split()
        program = next((word for word in words if not word.startswith("-") and "=" not in word), program)
    return program[:200]


def _markup(start: bytes) -> str:
    if _XML.match(start):
        body = start[:2048]
        return "svg" if b"<svg" in body else "html" if re.search(rb"(?i)<!doctype\s+html|<html\b", body) else "xml"
    if start.startswith(b"<svg"):
        return "svg"
    if _HTML.search(start[:4096]):
        return "html"
    if start.startswith(b"<%"):
        return "html"
    return "xml" if _TAG.match(start) else "text"


def _is_json(content: bytes | memoryview, start: bytes) -> bool:
    if len(content) <= _JSON_LIMIT:
        try:
            msgspec.json.decode(bytes(content).lstrip(b"\xef\xbb\xbf"), type=msgspec.Raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        return True
    return re.match(rb'\{\s*"[^"\\]{1,200}"\s*:|\[\s*[\[{"\d-]', start) is not None


def _looks_css(start: bytes) -> bool:
    window = start[:2048]
    return b"{" in window and _CSS.match(window) is not None


def _looks_javascript(start: bytes) -> bool:
    if _JS_START.match(start) is None:
        return False
    window = start[:4096]
    shell = len(_SHELL_MARKS.findall(window))
    if _JS_CERTAIN.match(start) is not None:
        return shell < 3
    marks = len({mark[:6] for mark in _JS_MARKS.findall(window)})
    return marks >= 2 and marks > shell
