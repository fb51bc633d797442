"""Lua, PHP, Python and Perl scripts of updates followed along all their ways: which checks guard a write, which only seem to."""
# ruff: noqa: E501, ISC004 (a script on one line reads better than one that is broken)

import random
import time

import pytest
from support.trees import Link, firmware_of

from fwcheck.device.updates import update_paths

ROOT = {"/bin/busybox": b"\x7fELF", "/sbin/init": Link("/bin/busybox"), "/etc/inittab": "::sysinit:/etc/init.d/rcS\n"}
HEADS = {
    "lua": "-- firmware\n",
    "php": "<?php // firmware\n",
    "python": "# firmware\nimport hashlib, os, requests, subprocess, sys\n",
    "perl": "#!/usr/bin/perl\n# firmware\n",
}
PATHS = {"lua": "/usr/lib/lua/up.lua", "php": "/www/up.php", "python": "/usr/bin/up.py", "perl": "/usr/bin/up.pl"}
USIGN = "usign -V -q -m /tmp/fw.bin -p /etc/fw.pub"
MTD = "mtd write /tmp/fw.bin firmware"
WRITES = {
    "lua": f'os.execute("{MTD}")\n',
    "php": f'system("{MTD}");\n',
    "python": f'os.system("{MTD}")\n',
    "perl": f'system("{MTD}");\n',
}


def paths(language, text, more=()):
    found = update_paths(firmware_of({**ROOT, **dict(more), PATHS[language]: HEADS[language] + text}))
    return [each for each in found if each.mechanism == PATHS[language]]


def told(language, before, more=(), after=""):
    (own,) = paths(language, before + WRITES[language] + after, more)
    return own


GUARDED = [
    ("lua", f'if os.execute("{USIGN}") ~= 0 then return end\n'),
    ("lua", f'local ok = os.execute("{USIGN}") == 0\nif not ok then os.exit(1) end\n'),
    ("lua", f'local function check() return os.execute("{USIGN}") == 0 end\nif not check() then error("bad") end\n'),
    ("lua", f'local sys = require "luci.sys"\nif sys.call("{USIGN}") > 0 then return false end\n'),
    ("lua", f'assert(os.execute("{USIGN}") == 0)\n'),
    ("lua", f'local r = os.execute("{USIGN}")\nif r == 0 then print("good") else return end\n'),
    ("lua", f'local ok = pcall(function() if os.execute("{USIGN}") ~= 0 then error("x") end end)\nif not ok then return end\n'),
    ("lua", f'while os.execute("{USIGN}") ~= 0 do fetch() end\n'),
    ("lua", 'local f = "/tmp/fw.bin"\nif os.execute(string.format("usign -V -m %s -p /k", f)) ~= 0 then return end\n'),
    ("php", f'exec("{USIGN}", $out, $ret);\nif ($ret !== 0) die("bad");\n'),
    ("php", f'system("{USIGN}", $ret);\nif ($ret) {{ exit(1); }}\n'),
    ("php", '$d = file_get_contents("/tmp/fw.bin");\nif (openssl_verify($d, $sig, $key) !== 1) { exit; }\n'),
    ("php", 'function good($f) { return openssl_verify(file_get_contents($f), $_POST["s"], "k") == 1; }\n'
     'if (!good("/tmp/fw.bin")) { die(); }\n'),
    ("php", "sodium_crypto_sign_verify_detached($s, $d, $k) or die('bad');\n"),
    ("php", 'try { if (openssl_verify($d, $s, $k) != 1) throw new Exception("x"); } catch (Exception $e) { exit(1); }\n'),
    ("php", f'switch (true) {{ case 1: exec("{USIGN}", $o, $r); if ($r != 0) exit; break; default: exit; }}\n'),
    ("python", f'if os.system("{USIGN}") != 0:\n    sys.exit(1)\n'),
    ("python", f'if os.system("{USIGN}"):\n    raise SystemExit(1)\n'),
    ("python", f"subprocess.check_call({USIGN.split()!r})\n"),
    ("python", f'subprocess.run("{USIGN}", shell=True, check=True)\n'),
    ("python", f"r = subprocess.run({USIGN.split()!r})\nif r.returncode != 0:\n    sys.exit(2)\n"),
    ("python", f"cmd = {USIGN.split()!r}\nif subprocess.call(cmd):\n    quit()\n"),
    ("python", f'assert os.system("{USIGN}") == 0\n'),
    ("python", "from cryptography.hazmat.primitives.serialization import load_pem_public_key\nkey = load_pem_public_key(b'x')\n"
     "key.verify(open('/tmp/s','rb').read(), open('/tmp/fw.bin','rb').read())\n"),
    ("python", "import nacl.signing\ntry:\n    nacl.signing.VerifyKey(K).verify(data, sig)\nexcept Exception:\n    sys.exit(1)\n"),
    ("python", "import rsa\ndef check():\n    try:\n        rsa.verify(data, sig, key)\n    except rsa.VerificationError:\n"
     "        return False\n    return True\nif not check():\n    sys.exit(1)\n"),
    ("perl", f'system("{USIGN}") == 0 or die "bad";\n'),
    ("perl", f'system("{USIGN}");\nexit(1) if $? != 0;\n'),
    ("perl", f'sub check {{ my $f = shift; return system("{USIGN}") == 0; }}\nunless (check("x")) {{ exit 1; }}\n'),
    ("perl", "use Crypt::OpenSSL::RSA;\nmy $k = Crypt::OpenSSL::RSA->new_public_key($p);\n$k->verify($data, $sig) || die;\n"),
    ("perl", f'eval {{ system("{USIGN}") == 0 or die "bad"; 1 }} or do {{ exit 1; }};\n'),
    ("perl", f'die "x" unless system("{USIGN}") == 0;\n'),
]  # fmt: skip


@pytest.mark.parametrize(("language", "before"), GUARDED)
def test_a_signature_counts_when_no_way_leads_around_it(language, before):
    found = told(language, before)
    assert (found.verified, found.sink) == ("signature", "mtd write"), found.detail
    assert "yes" in {step.honoured for step in found.steps if step.check}


IGNORED = [
    ("lua", f'os.execute("{USIGN}")\n'),
    ("lua", f'local r = os.execute("{USIGN}")\nprint(r)\n'),
    ("lua", f'if os.execute("{USIGN}") == 0 then return end\n'),
    ("lua", f'pcall(function() if os.execute("{USIGN}") ~= 0 then error("x") end end)\n'),
    ("php", f'exec("{USIGN}", $out, $ret);\n'),
    ("php", "openssl_verify($d, $s, $k);\n"),
    ("php", 'if (openssl_verify($d, $s, $k) != 1) { echo "bad"; }\n'),
    ("php", "try { if (openssl_verify($d, $s, $k) != 1) throw new Exception(); } catch (Exception $e) { log_it(); }\n"),
    ("python", f'os.system("{USIGN}")\n'),
    ("python", f"subprocess.call({USIGN.split()!r})\n"),
    ("python", f"try:\n    subprocess.check_call({USIGN.split()!r})\nexcept Exception:\n    pass\n"),
    ("python", "import nacl.signing\ntry:\n    nacl.signing.VerifyKey(K).verify(data, sig)\nexcept Exception:\n    print('x')\n"),
    ("perl", f'system("{USIGN}");\n'),
    ("perl", f'eval {{ system("{USIGN}") == 0 or die "bad"; }};\n'),
    ("perl", f'system("{USIGN}") == 0 or warn "bad";\n'),
]  # fmt: skip


@pytest.mark.parametrize(("language", "before"), IGNORED)
def test_a_check_that_cannot_stop_the_write_does_not_count(language, before):
    found = told(language, before)
    assert found.verified == "none", found.detail
    assert "no" in {step.honoured for step in found.steps if step.check}


OPEN = [
    ("php", f'if (shell_exec("{USIGN}") == "") exit;\n'),
    ("lua", f'if os.execute("{USIGN}") then print(1) else return end\n'),  # true or nil since Lua 5.2, always true before
    ("lua", 'if not crypto.verify_image("/tmp/fw.bin") then return end\n'),
    ("lua", f'if arg[1] ~= "--force" then if os.execute("{USIGN}") ~= 0 then return end end\n'),
    ("php", "if (!openssl_verify($d, $s, $k)) exit;\n"),  # -1, an error, counts as true
    ("php", 'if (!$this->checkFirmware("/tmp/fw.bin")) exit;\n'),
    ("python", "if not verify_signature('/tmp/fw.bin', 's'):\n    sys.exit(1)\n"),
    ("python", "if not vendor.lib.check_image('/tmp/fw.bin'):\n    sys.exit(1)\n"),
    ("perl", 'Vendor::verify_image("/tmp/fw.bin") or die;\n'),
    ("python", "os.system('usign -V -m /tmp/other.bin -p /k') and sys.exit(1)\n"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "before"), OPEN)
def test_what_cannot_be_followed_stays_open(language, before):
    assert told(language, before).verified == "unknown"


@pytest.mark.parametrize(
    ("language", "before", "verified"),
    [
        ("lua", 'local s = luci.sys.exec("md5sum /tmp/fw.bin")\nif s ~= want then return end\n', "hash"),
        ("lua", 'local p = io.popen("sha256sum /tmp/fw.bin")\nlocal s = p:read("*l")\nif s:sub(1, 64) ~= want then return end\n', "none"),
        ("php", 'if (md5_file("/tmp/fw.bin") != $_POST["md5"]) die();\n', "hash"),
        ("php", 'if (!hash_equals($want, hash_file("sha256", "/tmp/fw.bin"))) exit;\n', "hash"),
        ("php", 'echo md5_file("/tmp/fw.bin");\n', "none"),
        ("python", "h = hashlib.sha256()\nh.update(open('/tmp/fw.bin','rb').read())\nif h.hexdigest() != want:\n    sys.exit(1)\n", "hash"),
        ("python", "import zlib\nif zlib.crc32(data) & 0xffffffff != want:\n    sys.exit(1)\n", "unknown"),
        ("python", "import zlib\nif zlib.crc32(data) != want:\n    sys.exit(1)\n", "checksum"),
        ("python", "out = subprocess.check_output(['md5sum', '/tmp/fw.bin'])\nif out != want:\n    sys.exit(1)\n", "hash"),
        ("perl", "my $s = `md5sum /tmp/fw.bin`;\nunless ($s eq $want) { exit 1; }\n", "hash"),
        ("perl", "use Digest::SHA;\nmy $d = Digest::SHA->new(256);\n$d->addfile($f);\ndie if $d->hexdigest ne $want;\n", "hash"),
    ],
)  # fmt: skip
def test_digests_count_when_they_are_compared(language, before, verified):
    found = told(language, before).verified
    assert found == verified or (verified == "none" and found == "unknown")


SINKS = [
    ("lua", 'local f = io.open("/dev/mtdblock3", "w")\nf:write(data)\n', "raw write to flash"),
    ("lua", 'nixio.exec("/sbin/sysupgrade", "/tmp/fw.bin")\n', "sysupgrade"),
    ("lua", 'local p = "/tmp/fw.bin"\nos.execute("flashcp " .. p .. " /dev/mtd1")\n', "flashcp"),
    ("lua", 'io.popen("swupdate -i /tmp/fw.swu")\n', "swupdate"),
    ("lua", 'dofile("/mnt/usb/update.lua")\n', "program of a removable medium"),
    ("lua", 'local c = require("socket.http").request("http://x.example/c")\nloadstring(c)()\n', "run as it comes"),
    ("php", 'file_put_contents("/dev/mtdblock2", $data);\n', "raw write to flash"),
    ("php", 'move_uploaded_file($_FILES["f"]["tmp_name"], "/tmp/a"); copy("/tmp/a", "/dev/mtd3");\n', "raw write to flash"),
    ("php", "`dd if=/tmp/fw.bin of=/dev/mmcblk0p2`;\n", "raw write to flash"),
    ("php", '$h = fopen("/dev/mtd4", "wb"); fwrite($h, $d);\n', "raw write to flash"),
    ("php", 'eval(file_get_contents("http://x.example/c"));\n', "run as it comes"),
    ("python", "import shutil\nshutil.copyfile('/tmp/fw.bin', '/dev/mtdblock5')\n", "raw write to flash"),
    ("python", "with open('/dev/mmcblk0p3', 'wb') as out:\n    out.write(data)\n", "raw write to flash"),
    ("python", "subprocess.Popen(['rauc', 'install', bundle])\n", "rauc"),
    ("python", "import tarfile\ntarfile.open('/tmp/update.tar').extractall('/')\n", "unpacked over the root"),
    ("python", "import tarfile\nr = requests.get('http://x.example/a')\nopen('/tmp/a', 'wb').write(r.content)\n"
     "tarfile.open('/tmp/a').extractall(path='/')\n", "unpacked over the root"),
    ("python", "r = requests.get('http://x.example/a.sh')\nwith open('/tmp/a.sh', 'w') as f:\n    f.write(r.text)\n"
     "os.system('sh /tmp/a.sh')\n", "program that was brought in"),
    ("python", "exec(requests.get('http://x.example/a').text)\n", "run as it comes"),
    ("python", "import dbus\nproxy.InstallBundle('/tmp/fw.raucb', {})\n", "rauc"),
    ("perl", "open(my $o, '>', '/dev/mtd3') or die; print $o $d;\n", "raw write to flash"),
    ("perl", 'open(OUT, ">/dev/mtdblock1"); print OUT $d;\n', "raw write to flash"),
    ("perl", 'system("mtd", "write", $f, "firmware");\n', "mtd write"),
    ("perl", "use File::Copy;\ncopy('/tmp/fw.bin', '/dev/mmcblk0p2');\n", "raw write to flash"),
    ("perl", "use LWP::Simple;\ngetstore('http://x.example/a', '/tmp/a.sh');\nsystem('sh /tmp/a.sh');\n", "program that was brought in"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "text", "sink"), SINKS)
def test_writes_are_found(language, text, sink):
    assert [each.sink for each in paths(language, text)] == [sink]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("lua", '-- os.execute("mtd write x firmware")\nprint("mtd write x firmware")\n'),
        ("lua", 'os.execute("sysupgrade --create-backup /tmp/b")\n'),
        ("lua", 'local f = io.open("/dev/mtd3", "r")\n'),
        ("php", 'echo "run sysupgrade /tmp/fw.bin yourself";\n'),
        ("php", '$d = file_get_contents("/dev/mtdblock0");\n'),
        ("python", '"""mtd write /tmp/fw.bin firmware"""\nlog("sysupgrade /tmp/x failed")\n'),
        ("python", "open('/dev/mtd0', 'rb').read()\n"),
        ("python", "import tarfile\ntarfile.open('/tmp/a').extractall('/tmp/b')\n"),
        ("perl", "open(my $f, '<', '/dev/mtd3'); print 'mtd write a b';\n"),
    ],
)
def test_reading_and_speaking_of_it_do_not_count(language, text):
    assert paths(language, text) == []


@pytest.mark.parametrize(
    ("language", "fetch", "transport"),
    [
        ("python", "requests.get('https://x.example/f')\n", "authenticated"),
        ("python", "requests.get('https://x.example/f', verify=False)\n", "unchecked"),
        ("python", "s = requests.Session()\ns.verify = False\ns.get('https://x.example/f')\n", "unchecked"),
        ("python", "import ssl, urllib.request\nc = ssl._create_unverified_context()\nurllib.request.urlopen(U, context=c)\n", "unchecked"),
        ("python", "import ssl, urllib.request\nc = ssl.create_default_context()\nc.check_hostname = False\n"
         "urllib.request.urlopen('https://x.example/f', context=c)\n", "unchecked"),
        ("python", "import urllib.request\nurllib.request.urlretrieve('http://x.example/f', '/tmp/fw.bin')\n", "plain"),
        ("php", '$c = curl_init("https://x.example/f");\ncurl_setopt($c, CURLOPT_SSL_VERIFYPEER, false);\ncurl_exec($c);\n', "unchecked"),
        ("php", '$c = curl_init();\ncurl_setopt($c, CURLOPT_URL, "https://x.example/f");\ncurl_exec($c);\n', "authenticated"),
        ("php", '$c = curl_init();\ncurl_setopt_array($c, array(CURLOPT_URL => "https://x.example/f", CURLOPT_SSL_VERIFYPEER => 0));\n'
         "curl_exec($c);\n", "unchecked"),
        ("php", 'copy("http://x.example/f", "/tmp/fw.bin");\n', "plain"),
        ("perl", "use LWP::UserAgent;\nmy $u = LWP::UserAgent->new(ssl_opts => { verify_hostname => 0 });\n"
         "$u->get('https://x.example/f');\n", "unchecked"),
        ("perl", "use LWP::UserAgent;\nmy $u = LWP::UserAgent->new;\n$u->mirror('https://x.example/f', '/tmp/fw.bin');\n", "authenticated"),
        ("lua", 'local https = require "ssl.https"\nhttps.request("https://x.example/f")\n', "unchecked"),
        ("lua", 'local http = require("socket.http")\nhttp.request("http://x.example/f")\n', "plain"),
        ("lua", 'os.execute("curl -k -o /tmp/fw.bin https://x.example/f")\n', "unchecked"),
    ],
)  # fmt: skip
def test_the_transport_is_told(language, fetch, transport):
    found = told(language, fetch)
    assert (found.source, found.transport) == ("http download", transport)


def test_an_upload_handler_of_luci_is_followed_to_its_shell():
    text = (
        'module("luci.controller.up", package.seeall)\n'
        'function index() entry({"admin", "up"}, call("action_up")) end\n'
        "local function fork_exec(command)\n  if nixio.fork() == 0 then\n"
        '    nixio.exec("/bin/sh", "-c", command)\n  end\nend\n'
        'function action_up()\n  local http = require "luci.http"\n  local tmp = "/tmp/fw.bin"\n  local fp\n'
        '  http.setfilehandler(function(meta, chunk, eof)\n    if not fp then fp = io.open(tmp, "w") end\n    fp:write(chunk)\n  end)\n'
        '  if http.formvalue("keep") == "1" then\n    fork_exec("sleep 1; mtd write %s firmware" % tmp)\n  end\nend\n'
    )
    (found,) = update_paths(firmware_of({**ROOT, "/usr/lib/lua/luci/controller/up.lua": text}))
    assert (found.source, found.sink, found.verified) == ("web upload", "mtd write", "none")
    assert [(step.action, step.evidence.location.line) for step in found.steps] == [("receive", 12), ("write", 17)]


def test_functions_of_modules_of_the_image_are_followed():
    module = f'local M = {{}}\nfunction M.check(f)\n  return os.execute("{USIGN}") == 0\nend\nreturn M\n'
    text = 'local v = require "vendor.check"\nif not v.check("/tmp/fw.bin") then return end\n'
    found = told("lua", text, {"/usr/lib/lua/vendor/check.lua": module})
    assert found.verified == "signature"
    assert found.evidence[1].location.path == "/usr/lib/lua/vendor/check.lua"
    helper = f"import subprocess\ndef check(f):\n    subprocess.check_call({USIGN.split()!r})\n"
    assert told("python", "import helper\nhelper.check('x')\n", {"/usr/bin/helper.py": helper}).verified == "signature"
    weak = "def check_image(f):\n    return len(f) > 3\n"
    assert (
        told(
            "python", "from helper import check_image\nif not check_image('x'):\n    sys.exit()\n", {"/usr/bin/helper.py": weak}
        ).verified
        == "unknown"
    )
    included = f'<?php function good() {{ exec("{USIGN}", $o, $r); return $r == 0; }}\n'
    assert told("php", 'require_once "lib.php";\nif (!good()) exit;\n', {"/www/lib.php": included}).verified == "signature"


def test_a_function_that_only_others_call_is_left_open():
    flash = f'os.system("{MTD}")\n'
    (found,) = paths("python", f"def flash(path):\n    {flash}")
    assert (found.verified, "not in the script" in found.detail) == ("unknown", True)
    (found,) = paths("python", f"def handler(request):\n    requests.get('http://x.example/f')\n    {flash}")
    assert found.verified == "none"
    (found,) = paths(
        "python", f"class A:\n    def on_message(self, c, u, m):\n        {flash}\nclient.on_message = A().on_message\n"
    )
    assert found.verified == "none"


def test_messages_of_a_broker_are_a_source():
    text = f"def got(c, u, m):\n    c.subscribe('x/ota')\n    os.system('{MTD}')\nclient.on_message = got\n"
    (found,) = paths("python", text)
    assert found.source == "cloud"


def test_two_verdicts_of_one_script_are_two_paths():
    text = f'if arg[1] == "k" then os.execute("mtd write /tmp/k kernel")\nelse\n  if os.execute("{USIGN}") ~= 0 then return end\n  {WRITES["lua"]}end\n'
    assert {each.verified for each in paths("lua", text)} == {"none", "signature"}


def test_what_the_grammar_cannot_read_leaves_the_verdict_open():
    (found,) = paths("lua", f'if os.execute("{USIGN}") ~= 0 then return end\n{WRITES["lua"]}\nif check( then ] end\n')
    assert found.verified == "unknown"
    (found,) = paths("php", "if (((((( verify $x ] }\n" * 3 + WRITES["php"])
    assert found.verified == "unknown"


# --------------------------------------------------------------------------- hostile

DEEP = {
    "lua": ["x = " + "(" * 3000, "f(" * 500 + ")" * 500, "x = " + "a .. " * 5000 + "b\n", "if a then " * 400, "x = {" * 800,
            "function f() f() end f()\n", "function a() b() end function b() a() end a()\n", "while true do " * 100 + "end " * 100],
    "php": ["(" * 3000, "if ($a) {" * 800, "$x = " + '"a" . ' * 5000 + '"b";\n', "function f() { f(); } f();\n", "[" * 900,
            "include 'up.php';\n", "switch ($a) {" * 60, "$a = " * 600 + "1;\n"],
    "python": ["(" * 3000, "x = " + "a + " * 5000 + "b\n", "".join(" " * n + "if a:\n" for n in range(150)), "def f():\n  f()\nf()\n",
               "x = " + "not " * 900 + "y\n", "x = " + "f(" * 300 + ")" * 300 + "\n", "try:\n x()\nexcept: pass\n" * 300],
    "perl": ["(" * 2000, "if ($a) {" * 300, "$x = " + '"a" . ' * 3000 + '"b";\n', "sub f { f(); } f();\n", "eval { " * 200 + "}" * 200,
             'require "up.pl";\n', "{" * 1500],
}  # fmt: skip


@pytest.mark.parametrize(("language", "number"), [(each, at) for each, texts in DEEP.items() for at in range(len(texts))])
def test_hostile_scripts_end(language, number):
    begun = time.process_time()
    paths(language, DEEP[language][number] + "\n" + WRITES[language])
    assert time.process_time() - begun < 6


@pytest.mark.parametrize("language", list(HEADS))
def test_many_branches_end_and_are_never_called_verified(language):
    one = {
        "lua": "if a{n} then x{n} = 1 else x{n} = 0 end\n",
        "php": "if ($a{n}) {{ $x{n} = 1; }} else {{ $x{n} = 0; }}\n",
        "python": "if a{n}:\n    x{n} = 1\nelse:\n    x{n} = 0\n",
        "perl": "if ($a{n}) {{ $x{n} = 1; }} else {{ $x{n} = 0; }}\n",
    }[language]
    begun = time.process_time()
    found = paths(language, "".join(one.format(n=n) for n in range(300)) + WRITES[language])
    assert time.process_time() - begun < 6
    assert {each.verified for each in found} <= {"none", "unknown"}


@pytest.mark.parametrize("language", list(HEADS))
def test_mutations_break_nothing_and_are_not_called_signed_without_a_verifier(language):
    source = random.Random(f"mutations of {language}")
    seeds = [text for each, text in [*GUARDED, *IGNORED, *((a, b) for a, b, _ in SINKS)] if each == language]
    tokens = [
        "(",
        ")",
        "{",
        "}",
        "if",
        "end",
        "else",
        '"',
        "'",
        "\n",
        "\0",
        ";",
        "return",
        "=",
        "==",
        "not",
        "\\",
        "<<",
        "é",
        "..",
        "->",
    ]
    for _ in range(60):
        text = source.choice(seeds) + WRITES[language]
        for _ in range(source.randrange(1, 6)):
            at = source.randrange(len(text))
            text = text[:at] + source.choice(tokens) + text[at + source.randrange(0, 6) :]
        found = paths(language, text)
        known = ("usign", "verify", "nacl", "openssl", "Crypt")
        assert any(word in text for word in known) or all(each.verified != "signature" for each in found)


# --------------------------------------------------------------------------- what is not followed, and what must be

IDLE = (
    "function idle{n}(x)\n" + "  local a{n} = x.a and x.b or x.c and x.d\n" * 8 + "  if a{n} then return idle{n}(x.e) end\nend\n"
)
REACHED = {
    "named elsewhere": "local CMD = '/sbin/sysupgrade '\nfunction up(x) os.execute(CMD .. x) end\n",
    "in two pieces": 'local function go(verb) os.execute(verb .. " /tmp/fw.bin") end\nfunction up() go("/sbin/sysupgrade") end\n',
    "by a function of the script": 'function run(c) os.execute(c) end\nfunction up() run("sysupgrade /tmp/fw.bin") end\n',
    "as a value": 'local t = function() os.execute("sysupgrade /tmp/fw.bin") end\nfunction up() pcall(t) end\n',
}  # fmt: skip


@pytest.mark.parametrize("text", REACHED.values(), ids=REACHED)
def test_a_function_that_leads_to_a_write_is_followed_among_many_that_do_not(text):
    (own,) = paths("lua", "".join(IDLE.replace("{n}", str(each)) for each in range(20)) + text)
    assert "not followed" not in own.detail
    assert "to its end" not in own.detail


def test_a_local_named_like_its_module_stands_for_it():
    text = (
        'local nixio = require "nixio"\nlocal os = require "os"\n'
        'function up(img)\n  if os.execute("usign -V -q -m /tmp/fw.bin -p /etc/fw.pub") ~= 0 then return end\n'
        '  nixio.exec("/bin/sh", "-c", "sleep 1; mtd write /tmp/fw.bin firmware")\nend\n'
    )
    (own,) = paths("lua", text)
    assert (own.sink, own.verified) == ("mtd write", "signature")
    assert any(step.action == "write" and step.evidence is not None for step in own.steps)


def test_functions_that_cannot_write_cost_nothing():
    idle = "".join(IDLE.replace("{n}", str(each)) for each in range(90))
    started = time.process_time()
    (own,) = paths("lua", idle + 'function up() os.execute("mtd write /tmp/fw.bin firmware") end\n')
    assert own.sink == "mtd write"
    assert "to its end" not in own.detail
    assert time.process_time() - started < 2
