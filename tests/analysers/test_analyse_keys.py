"""Keys in the image: which are the device's, which are a library's, and what they weigh."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID
from support.trees import Link, firmware_of

from fwcheck.analysers import certificates, keys, secrets_mode
from fwcheck.analysers._known import library_test_keys, signing_test_keys
from fwcheck.model import Device, Evidence, KeyFile, Location, Service

ROOT = {"/bin/busybox": b"\x7fELF", "/sbin/init": Link("/bin/busybox"), "/etc/inittab": "::sysinit:/etc/init.d/rcS\n"}


@pytest.fixture(scope="module")
def key():
    return ec.generate_private_key(ec.SECP256R1())


def pem(key, password=None):
    how = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


def certificate(key, until=2029, subject="cam"):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    builder = builder.not_valid_before(dt.datetime(2010, 1, 1)).not_valid_after(dt.datetime(until, 1, 1))  # noqa: DTZ001
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def judged(files, module=keys, services=(), modes=None):
    return list(module.analyse(firmware_of({**ROOT, **files}, modes), Device(services=services)))


def test_a_private_key_in_a_file_of_its_own_is_a_certain_violation(key):
    (finding,) = judged({"/etc/ssl/server.key": pem(key)})
    assert (finding.rule, finding.verdict, finding.confidence, finding.severity) == (
        "TLS-004",
        "violation",
        "certain",
        "high",
    )
    assert finding.location.path == "/etc/ssl/server.key"
    assert "BEGIN" not in finding.evidence


@pytest.mark.parametrize(
    ("enabled", "severity", "words"),
    [("yes", "critical", ", used by lighttpd"), ("unknown", "critical", ", it may be used by lighttpd"), ("no", "high", "PEM)")],
)
def test_a_key_that_a_service_uses_weighs_more_than_one_that_nobody_is_seen_to_use(key, enabled, severity, words):
    files = {"/etc/ssl/server.key": pem(key)}
    line = Evidence(location=Location(path="/etc/lighttpd.conf", line=3), text='ssl.privkey = "/etc/ssl/server.key"')
    use = KeyFile(path="/etc/ssl/server.key", root=firmware_of(files).filesystems[0].label, evidence=line)
    web = Service(name="lighttpd", program="/usr/sbin/lighttpd", enabled=enabled, keys=(use,))
    (finding,) = judged(files, services=(web,))
    assert (finding.severity, finding.title[-len(words) :]) == (severity, words)
    assert (line in finding.witnesses) == (enabled != "no")
    assert "lighttpd" in finding.explanation


def test_its_certificate_is_a_witness(key):
    (finding,) = judged({"/etc/ssl/server.pem": pem(key) + certificate(key)})
    assert "CN=cam" in finding.witnesses[0].text


def test_an_encrypted_key_is_a_concern(key):
    (finding,) = judged({"/etc/ssl/server.key": pem(key, b"geheim")})
    assert (finding.verdict, finding.severity) == ("concern", "medium")


def test_examples_weigh_little(key):
    (finding,) = judged({"/usr/share/doc/app/examples/server.key": pem(key)})
    assert (finding.verdict, finding.severity) == ("concern", "low")


@pytest.mark.parametrize(
    "path",
    [
        "/usr/lib/python3.11/test/keycert.pem",
        "/usr/lib/python3/dist-packages/twisted/test/server.pem",
        "/usr/lib/node_modules/x/test/fixtures/a.key",
    ],
)
def test_the_tests_of_languages_and_their_packages_hold_nobodys_keys(key, path):
    assert judged({path: pem(key)}) == []
    assert (
        judged({path: pem(key), "/etc/private.conf": "x=1\n"}, secrets_mode, modes={path: 0o644, "/etc/private.conf": 0o600})
        == []
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"-----BEGIN RSA PRIVATE KEY-----\n", b"\x7fELF\0-----BEGIN RSA PRIVATE KEY-----\0-----END RSA PRIVATE KEY-----\0"],
)
def test_placeholders_and_parser_constants_are_no_keys(content):
    assert judged({"/etc/dropbear/dropbear_rsa_host_key": content}) == []


def test_public_halves_are_no_finding(key):
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert judged({"/etc/update.pub": public, "/etc/ssl/cert.pem": certificate(key)}) == []


def test_the_signing_key_of_updates_is_told_apart(key):
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (finding,) = judged({"/etc/swupdate/public.pem": public, "/root/build.pem": pem(key)})
    assert (finding.rule, finding.verdict, finding.confidence) == ("UPD-007", "violation", "certain")
    assert "/etc/swupdate/public.pem" in finding.explanation


def test_an_authorized_key_is_found_where_it_stands():
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJfkNV4OS33ImTXvorZr72q4v5XhVEQKfvqsxOEJ/XaR dev@maker\n"
    ssh = Service(name="dropbear", program="/usr/sbin/dropbear", enabled="yes", protocol="ssh")
    (finding,) = judged({"/etc/dropbear/authorized_keys": "# keys\n" + line}, services=(ssh,))
    assert (finding.rule, finding.verdict, finding.confidence) == ("ACC-006", "violation", "certain")
    assert (finding.location.path, finding.location.line) == ("/etc/dropbear/authorized_keys", 2)
    assert judged({"/etc/dropbear/authorized_keys": "# " + line}, services=(ssh,)) == []
    (off,) = judged(
        {"/root/.ssh/authorized_keys": line}, services=(Service(name="d", program="d", enabled="no", protocol="ssh"),)
    )
    assert off.verdict == "concern"


def test_a_servers_own_certificate_is_judged_and_public_roots_are_not(key):
    old = certificate(key, until=2016)
    (finding,) = judged({"/etc/lighttpd/server.pem": pem(key) + old}, certificates)
    assert (finding.rule, finding.confidence) == ("TLS-005", "certain")
    assert "expired on 2016-01-01" in finding.title
    assert judged({"/etc/ssl/certs/OldRoot.pem": old, "/etc/ssl/ca-bundle.crt": old}, certificates) == []
    assert judged({"/etc/lighttpd/server.pem": pem(key) + certificate(key)}, certificates) == []


def test_short_rsa_is_told():
    short = rsa.generate_private_key(65537, 1024)
    (finding,) = judged({"/etc/server.crt": certificate(short)}, certificates)
    assert "RSA key of 1024 bits" in finding.title


@pytest.mark.parametrize(
    ("path", "text", "held"),
    [
        ("/etc/ppp/pap-secrets", "*\t*\t*\t*\n", False),
        ("/etc/ppp/pap-secrets", '*\thome\t""\t*\n', False),
        ("/usr/share/ppp/pap-secrets", 'guest\thome\t"*"\t-\n', False),
        ("/etc/ppp/chap-secrets", "unit\t*\tt0nnel99\t*\n", True),
        ("/etc/wpa_supplicant.conf", 'key_mgmt=WPA-EAP WPA-PSK NONE\npairwise=CCMP TKIP\npsk="psk_test"\n', False),
        ("/etc/wpa_supplicant.conf", 'network={\n\tpsk="sunrise-gate-77"\n}\n', True),
        ("/etc/ipsec.secrets", '%any : PSK "S3kret99"\n', True),
        ("/etc/ipsec.secrets", "# : PSK\n", False),
        ("/etc/passwd-", "root:x:0:0:root:/root:/bin/sh\n", False),
    ],
)
def test_only_files_that_hold_a_secret_have_to_be_kept_from_others(path, text, held):
    files = {path: text, "/etc/private.conf": "x=1\n"}
    found = judged(files, secrets_mode, modes={path: 0o644, "/etc/private.conf": 0o600})
    assert [each.rule for each in found] == ["FS-002"] * held


def test_modes_are_believed_where_somebody_set_them(key):
    files = {"/etc/ssl/server.key": pem(key), "/etc/shadow": "root:$1$a$b:1:0:99999:7:::\n", "/etc/private.conf": "x=1\n"}
    modes = {"/etc/ssl/server.key": 0o644, "/etc/shadow": 0o600, "/etc/private.conf": 0o600}
    (finding,) = judged(files, secrets_mode, modes=modes)
    assert (finding.rule, finding.verdict, finding.location.path) == ("FS-002", "violation", "/etc/ssl/server.key")
    modes = dict.fromkeys(files, 0o644)
    assert {each.confidence for each in judged(files, secrets_mode, modes=modes)} == {"tentative"}
    assert judged(files, secrets_mode, modes=dict.fromkeys(files, 0o600)) == []


def test_the_table_of_known_keys_is_well_formed():
    assert all(len(each) == 64 for each in library_test_keys())
    assert all(len(each) in (16, 40, 64) and name for each, name in signing_test_keys().items())


def test_a_key_under_a_trivial_passphrase_is_no_better_than_an_open_one(key):
    (finding,) = judged({"/etc/ssl/server.key": pem(key, b"123456")})
    assert (finding.rule, finding.verdict, finding.severity) == ("TLS-004", "violation", "critical")
    assert "123456" not in repr(finding)
