"""The bills of materials: by the schemas of their formats, and what they say of components, services and keys."""

import json
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import pytest
from referencing import Registry
from referencing.jsonschema import DRAFT7
from support.reports import coverage_of, report_of

from fwcheck.model import (
    Component,
    ComponentFile,
    ComponentUse,
    CryptoAsset,
    Device,
    Evidence,
    Listener,
    Location,
    Vulnerability,
)
from fwcheck.reports import cyclonedx, spdx
from fwcheck.reports.registry import named

CHAIN = ("router.bin", "squashfs@0x0")


def place(path, text="", **where):
    return Evidence(location=Location(chain=CHAIN, path=path, **where), text=text)


OPENSSL = Component(
    name="openssl",
    version="1.1.1k",
    purl="pkg:generic/openssl@1.1.1k",
    cpe="cpe:2.3:a:openssl:openssl:1.1.1k:*:*:*:*:*:*:*",
    confidence="certain",
    evidence=(place("/usr/lib/libcrypto.so.1.1", "OpenSSL 1.1.1k  25 Mar 2021", offset=0x1234), place("/usr/lib/libssl.so.1.1")),
    files=(
        ComponentFile(path="/usr/lib/libcrypto.so.1.1", sha256="a" * 64),
        ComponentFile(path="/usr/lib/libssl.so.1.1", sha256="b" * 64),
    ),
    license="OpenSSL",
    used_by=(ComponentUse(service="lighttpd", program="/usr/sbin/lighttpd", started="yes", listens=True),),
    vulnerabilities=(Vulnerability(id="CVE-2021-3711", score=9.8, fixed_in="1.1.1l"),),
    set_aside=(Vulnerability(id="CVE-2021-3712", status="not_affected", reason="not built in"),),
)
LIGHTTPD = Component(
    name="lighttpd",
    version="1.4.59",
    type="application",
    purl="pkg:opkg/lighttpd@1.4.59-1?arch=mips",
    package="1.4.59-1",
    evidence=(place("/usr/lib/opkg/status", "Package: lighttpd", line=12), place("/usr/sbin/lighttpd", "named x", offset=7)),
    files=(ComponentFile(path="/usr/sbin/lighttpd", sha256="c" * 64),),
    license="our own words, two of them",
    depends_on=("pkg:generic/openssl@1.1.1k",),
    used_by=(ComponentUse(service="lighttpd", program="/usr/sbin/lighttpd", started="yes", listens=True),),
)
CRYPTO = (
    CryptoAsset(
        kind="certificate",
        algorithm="RSA",
        bits=2048,
        fingerprint="d" * 64,
        subject="CN=device",
        issuer="CN=device",
        not_before="2015-01-01T00:00:00+00:00",
        not_after="2035-01-01T00:00:00",
        signature_hash="sha1",
        evidence=(place("/etc/cert.pem", offset=0),),
    ),
    CryptoAsset(
        kind="private-key", algorithm="RSA", bits=2048, fingerprint="d" * 64, container="PEM", evidence=(place("/etc/key.pem"),)
    ),
    CryptoAsset(kind="private-key", algorithm="Ed25519", fingerprint="e" * 64, encrypted=True),
)
REPORT = report_of(
    [],
    coverage_of(),
    Device(
        components=(OPENSSL, LIGHTTPD, Component(name="\u202eodd\x00", type="firmware")),
        crypto=CRYPTO,
        listeners=(Listener(port=443, protocol="tcp", address="0.0.0.0", service="lighttpd"),),
    ),
)


def bom():
    return json.loads(cyclonedx.render(REPORT))


def component(name):
    (only,) = (each for each in bom()["components"] if each["name"] == name)
    return only


def test_the_document_is_valid_by_the_official_schema():
    found = find_spec("cyclonedx")
    if found is None or found.origin is None:
        pytest.skip("cyclonedx-python-lib, which carries the schema, is not installed")
    folder = Path(found.origin).parent / "schema" / "_res"
    names = ("spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json")
    held = [(name, DRAFT7.create_resource(json.loads((folder / name).read_text()))) for name in names]
    registry = Registry().with_resources([*held, *((f"http://cyclonedx.org/schema/{name}", each) for name, each in held)])
    schema = json.loads((folder / "bom-1.6.SNAPSHOT.schema.json").read_text())
    validator = jsonschema.Draft7Validator(schema, registry=registry)
    for report in (REPORT, report_of(), report_of([], coverage_of(files=0), Device())):
        assert [error.message for error in validator.iter_errors(json.loads(cyclonedx.render(report)))] == []
    broken = bom()
    broken["components"][0]["type"] = "thing"
    assert not validator.is_valid(broken)


def test_a_component_has_its_kind_hashes_licence_and_places_with_offsets():
    held = component("openssl")
    assert held["type"] == "library"
    assert held["licenses"] == [{"license": {"id": "OpenSSL", "acknowledgement": "declared"}}]
    assert "hashes" not in held  # two files, each with its own
    assert [each["hashes"][0]["content"] for each in held["components"]] == ["a" * 64, "b" * 64]
    assert held["evidence"]["occurrences"][0] == {
        "location": "/usr/lib/libcrypto.so.1.1",
        "offset": 0x1234,
        "additionalContext": "OpenSSL 1.1.1k  25 Mar 2021",
    }
    assert held["evidence"]["identity"][0]["methods"] == [{"technique": "binary-analysis", "confidence": 1.0}]
    web = component("lighttpd")
    assert web["type"] == "application"
    assert web["hashes"] == [{"alg": "SHA-256", "content": "c" * 64}]
    assert web["licenses"][0]["license"]["name"] == "our own words, two of them"
    assert [each["technique"] for each in web["evidence"]["identity"][0]["methods"]] == ["manifest-analysis", "filename"]


def test_it_says_which_listening_service_runs_what_and_what_is_linked_to_what():
    held = bom()
    (service,) = held["services"]
    assert (service["name"], service["endpoints"]) == ("lighttpd", ["tcp://0.0.0.0:443"])
    edges = {each["ref"]: each["dependsOn"] for each in held["dependencies"]}
    assert edges[service["bom-ref"]] == [OPENSSL.purl, LIGHTTPD.purl]
    assert edges[LIGHTTPD.purl] == [OPENSSL.purl]
    references = {each["bom-ref"] for each in held["components"]} | {service["bom-ref"], held["metadata"]["component"]["bom-ref"]}
    assert all({ref, *needed} <= references for ref, needed in edges.items())


def test_certificates_and_keys_are_cryptographic_assets_with_their_algorithms():
    held = [each for each in bom()["components"] if each["type"] == "cryptographic-asset"]
    kinds = [each["cryptoProperties"]["assetType"] for each in held]
    assert kinds == ["algorithm", "algorithm", "certificate", "related-crypto-material", "related-crypto-material"]
    certificate = held[2]["cryptoProperties"]["certificateProperties"]
    assert (certificate["notValidBefore"], certificate["notValidAfter"]) == ("2015-01-01T00:00:00+00:00", "2035-01-01T00:00:00Z")
    references = {each["bom-ref"] for each in held}
    assert len(references) == 5
    key = held[3]["cryptoProperties"]["relatedCryptoMaterialProperties"]
    assert (key["type"], key["size"]) == ("private-key", 2048)
    assert key["algorithmRef"] in references


def test_what_was_set_aside_is_told_with_its_reason():
    states = {each["id"]: each.get("analysis", {}).get("state") for each in bom()["vulnerabilities"]}
    assert states == {"CVE-2021-3711": None, "CVE-2021-3712": "not_affected"}


def test_the_spdx_document_holds_the_same_packages_and_links():
    held = json.loads(named("spdx").render(REPORT))
    packages = {each["name"]: each for each in held["packages"]}
    assert packages["openssl"]["versionInfo"] == "1.1.1k"
    assert packages["openssl"]["licenseDeclared"] == "OpenSSL"
    assert packages["lighttpd"]["licenseDeclared"] == "NOASSERTION"
    assert packages["lighttpd"]["checksums"] == [{"algorithm": "SHA256", "checksumValue": "c" * 64}]
    assert {each["referenceType"] for each in packages["openssl"]["externalRefs"]} == {"purl", "cpe23Type"}
    identifiers = {each["SPDXID"] for each in held["packages"]} | {"SPDXRef-DOCUMENT"}
    assert len(identifiers) == len(held["packages"]) + 1
    assert all({each["spdxElementId"], each["relatedSpdxElement"]} <= identifiers for each in held["relationships"])
    links = [each for each in held["relationships"] if each["relationshipType"] == "DYNAMIC_LINK"]
    assert [(each["spdxElementId"], each["relatedSpdxElement"]) for each in links] == [
        (packages["lighttpd"]["SPDXID"], packages["openssl"]["SPDXID"])
    ]
    assert spdx.render(REPORT) == spdx.render(REPORT)


def test_the_spdx_document_passes_the_reference_validator(tmp_path):
    parser = pytest.importorskip("spdx_tools.spdx.parser.parse_anything", reason="spdx-tools is not installed")
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    path = tmp_path / "image.spdx.json"
    path.write_text(spdx.render(REPORT))
    assert validate_full_spdx_document(parser.parse_file(str(path))) == []
