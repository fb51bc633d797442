import json

import pytest

from fwcheck.declaration import Product
from fwcheck.device.kernel_configuration import KernelConfiguration
from fwcheck.inspection import traits
from fwcheck.model import Component, Location
from fwcheck.vulnerabilities import build as building
from fwcheck.vulnerabilities import kernel_options, origins, vex
from fwcheck.vulnerabilities.annotate import annotate, applies
from fwcheck.vulnerabilities.applicability import matches
from fwcheck.vulnerabilities.database import Knowledge
from fwcheck.vulnerabilities.sources import nvd
from fwcheck.vulnerabilities.sources.facts import Affected, Place, Score
from fwcheck.vulnerabilities.store import Statement

CVES = ("CVE-2021-42386", "CVE-2022-28391")


def knowledge(*facts):
    return Knowledge(building.assemble(list(facts)))


@pytest.fixture(scope="module")
def busybox():
    return knowledge(*(Affected("busybox", cve, "", True, "1.36.0", False, "NVD") for cve in CVES))


def part(name="busybox", version="1.33.1", **changes):
    return Component(name=name, version=version, purl=f"pkg:generic/{name}@{version}", **changes)


def judged(component, base, statements=(), configurations=()):
    (found,) = annotate([component], base, statements, configurations)
    return {each.id for each in found.vulnerabilities}, {each.id: (each.status, each.reason) for each in found.set_aside}


# --------------------------------------------------------------------------- VEX

OPENVEX = {
    "@context": "https://openvex.dev/ns/v0.2.0",
    "statements": [
        {
            "vulnerability": {"name": "CVE-2021-42386"},
            "products": [{"@id": "pkg:generic/router@1", "subcomponents": [{"@id": "pkg:generic/busybox@1.33.1"}]}],
            "status": "not_affected",
            "justification": "vulnerable_code_not_present",
            "impact_statement": "awk is not built",
        }
    ],
}
CYCLONEDX = {
    "bomFormat": "CycloneDX",
    "components": [{"bom-ref": "b1", "name": "busybox", "version": "1.33.1", "purl": "pkg:generic/busybox@1.33.1"}],
    "vulnerabilities": [
        {
            "id": "CVE-2021-42386",
            "analysis": {"state": "not_affected", "justification": "code_not_present", "detail": "awk is not built"},
            "affects": [{"ref": "b1"}],
        }
    ],
}
CSAF = {
    "document": {"category": "csaf_vex"},
    "product_tree": {
        "branches": [
            {
                "category": "vendor",
                "branches": [
                    {
                        "category": "product_version",
                        "product": {
                            "product_id": "P1",
                            "name": "busybox 1.33.1",
                            "product_identification_helper": {"purl": "pkg:generic/busybox@1.33.1"},
                        },
                    }
                ],
            }
        ],
        "relationships": [
            {"product_reference": "P1", "full_product_name": {"product_id": "P2"}, "relates_to_product_reference": "R"}
        ],
    },
    "vulnerabilities": [
        {
            "cve": "CVE-2021-42386",
            "product_status": {"known_not_affected": ["P2"]},
            "flags": [{"label": "vulnerable_code_not_present", "product_ids": ["P2"]}],
            "threats": [{"category": "impact", "details": "awk is not built", "product_ids": ["P2"]}],
        }
    ],
}


@pytest.mark.parametrize("document", [OPENVEX, CYCLONEDX, CSAF], ids=["OpenVEX", "CycloneDX", "CSAF"])
def test_a_statement_sets_a_vulnerability_aside_with_its_reason(tmp_path, busybox, document):
    path = tmp_path / "product.vex.json"
    path.write_text(json.dumps(document))
    left, aside = judged(part(), busybox, vex.read(path))
    assert left == {"CVE-2022-28391"}
    status, reason = aside["CVE-2021-42386"]
    assert status == "not_affected"
    assert reason.startswith("product.vex.json: ")
    assert "awk is not built" in reason


def test_a_fix_sets_aside_and_an_open_question_does_not(busybox):
    fixed = Statement(CVES[0], "busybox@1.33.1", "", "fixed", "patched", "x.json")
    left, aside = judged(part(), busybox, [fixed, fixed._replace(cve=CVES[1], status="under_investigation")])
    assert (left, set(aside)) == ({CVES[1]}, {CVES[0]})
    (found,) = annotate([part()], busybox, [fixed._replace(status="under_investigation")])
    assert [each.status for each in found.vulnerabilities if each.id == CVES[0]] == ["under_investigation"]


def test_a_statement_that_it_is_affected_outweighs_the_other(busybox):
    fixed = Statement(CVES[0], "busybox", "", "fixed", "", "x.json")
    assert judged(part(), busybox, [fixed, fixed._replace(status="affected", document="y.json")]) == (set(CVES), {})


@pytest.mark.parametrize(
    ("product", "wanted"),
    [
        ("pkg:generic/busybox@1.33.1", True),
        ("pkg:generic/busybox", True),
        ("pkg:generic/busybox@1.33.2", False),
        ("pkg:generic/toybox@1.33.1", False),
        ("pkg:npm/busybox@1.33.1", False),
        ("cpe:2.3:a:busybox:busybox:1.33.1:*:*:*:*:*:*:*", True),
        ("cpe:2.3:a:busybox:busybox:*:*:*:*:*:*:*:*", True),
        ("cpe:/a:busybox:busybox:1.33.1", True),
        ("cpe:2.3:a:busybox:busybox:1.30.0:*:*:*:*:*:*:*", False),
        ("cpe:2.3:a:nobody:nothing:*:*:*:*:*:*:*:*", False),
        ("busybox@1.33.1", True),
        ("BusyBox", True),
        ("busybox@1", False),
        ("", False),
        ("pkg:", False),
    ],
)
def test_a_statement_is_about_the_component_that_its_product_names(product, wanted):
    assert applies(Statement("CVE-1", product, "", "fixed", "", ""), part()) is wanted


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"{}",
        b'{"@context": "https://openvex.dev/ns", "statements": 7}',
        b'{"@context": "https://openvex.dev/ns", "statements": [{"status": []}]}',
        b'{"bomFormat": "CycloneDX", "vulnerabilities": [{"affects": [7]}]}',
        b'{"document": {}, "vulnerabilities": [{"cve": "CVE-1", "product_status": {"fixed": 7}}]}',
        b'{"document": {}, "product_tree": {"branches": [7]}, "vulnerabilities": []}',
        b"[" * 100_000,
    ],
)
def test_a_document_that_is_none_is_refused_in_one_sentence(tmp_path, raw):
    path = tmp_path / "x.json"
    path.write_bytes(raw)
    with pytest.raises(vex.NotVex) as refused:
        vex.read(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


# --------------------------------------------------------------------------- kernel configuration

PLACES = {
    "CVE-2024-1": ["fs/btrfs/inode.c"],
    "CVE-2024-2": ["net/ipv4/tcp.c"],
    "CVE-2024-3": ["fs/btrfs/inode.c", "fs/namei.c"],
    "CVE-2024-4": ["arch/x86/kvm/svm.c", "arch/s390/mm/init.c"],
    "CVE-2024-5": ["drivers/gpu/drm/amd/display/dc.c"],
    "CVE-2024-6": ["net/ipv6/route.c"],
    "CVE-2024-7": [],
}
ON = frozenset({"NET", "IPV6", "DRM", *(f"OPTION_{number}" for number in range(200))})


def kernels():
    facts = [Affected("linux_kernel", cve, "4.0", True, "6.0", False, "kernel.org") for cve in PLACES]
    return knowledge(*facts, *(Place(cve, path) for cve, paths in PLACES.items() for path in paths))


def configuration(release="4.9.84", architecture="arm"):
    return KernelConfiguration(Location(path="kernel-config"), release, architecture, ON)


def test_what_the_kernel_was_not_built_with_is_set_aside():
    left, aside = judged(part("linux_kernel", "4.9.84"), kernels(), configurations=[configuration()])
    assert left == {"CVE-2024-2", "CVE-2024-3", "CVE-2024-6", "CVE-2024-7"}
    assert aside["CVE-2024-1"] == ("not_affected", "fs/btrfs/inode.c: CONFIG_BTRFS_FS not set (configuration in kernel-config)")
    assert "of s390, the kernel of arm" in aside["CVE-2024-4"][1]
    assert "CONFIG_DRM_AMDGPU" in aside["CVE-2024-5"][1]


def test_the_configuration_of_another_kernel_says_nothing():
    for other in ([], [configuration("3.10.14")], [configuration(), configuration(architecture="mips")]):
        assert judged(part("linux_kernel", "4.9.84"), kernels(), configurations=other)[1] == {}
    assert judged(part(), kernels(), configurations=[configuration("")])[1] == {}
    assert judged(part("linux_kernel", "4.9.84"), kernels(), configurations=[configuration("")])[1] != {}


def test_the_table_of_options_names_parts_of_the_source():
    for path, options in kernel_options._table().items():
        assert path.split("/")[0] in {"crypto", "drivers", "fs", "io_uring", "kernel", "net", "security", "sound", "virt"}, path
        assert options, path
        assert all(name == name.upper() and not name.startswith("CONFIG_") for name in options), path
    assert kernel_options.needed("fs/smb/server/auth.c") == ("SMB_SERVER",)
    assert kernel_options.needed("mm/mmap.c") == ()


# --------------------------------------------------------------------------- distributions


def test_a_fix_of_the_distribution_is_told_and_its_own_findings_are_added():
    base = knowledge(
        Affected("openssl", "CVE-2023-0286", "1.1.1", True, "1.1.1t", False, "OpenSSL"),
        Affected("openssl", "CVE-2023-5678", "1.1.1", True, "1.1.1x", False, "OpenSSL"),
        Affected("deb:debian:11/openssl", "CVE-2023-0286", "", True, "1.1.1n-0+deb11u4", False, "OSV debian"),
        Affected("deb:debian:11/openssl", "CVE-2023-9999", "", True, "", False, "OSV debian"),
    )
    purl = "pkg:deb/debian/openssl@1.1.1n-0%2Bdeb11u4?arch=armhf&distro=debian-11"
    installed = Component(name="openssl", version="1.1.1n", package="1.1.1n-0+deb11u4", purl=purl)
    left, aside = judged(installed, base)
    assert left == {"CVE-2023-5678", "CVE-2023-9999"}
    assert aside["CVE-2023-0286"] == (
        "fixed",
        "the distribution lists it as fixed in 1.1.1n-0+deb11u4; 1.1.1n-0+deb11u4 is installed",
    )
    older = Component(name="openssl", version="1.1.1n", package="1.1.1n-0+deb11u3", purl=purl.replace("u4", "u3"))
    assert judged(older, base)[1] == {}


# --------------------------------------------------------------------------- CPE applicability

COMPONENTS = {"php:php": "php", "apache:http_server": "http_server", "linux:linux_kernel": "linux_kernel"}


def match(pair, vulnerable=True, version="*", part="a", **bounds):
    return {"criteria": f"cpe:2.3:{part}:{pair}:{version}:*:*:*:*:*:*:*", "vulnerable": vulnerable, **bounds}


def node(*matches_, operator="OR", **more):
    return {"operator": operator, "negate": False, "cpeMatch": list(matches_), **more}


PHP = match("php:php", versionEndExcluding="8.0")


@pytest.mark.parametrize(
    ("configuration", "beside", "wanted"),
    [
        ({"nodes": [node(PHP)]}, {}, True),
        ({"operator": "AND", "nodes": [node(PHP), node(match("linux:linux_kernel", False, "-", "o"))]}, {}, True),
        ({"operator": "AND", "nodes": [node(PHP), node(match("microsoft:windows", False, "-", "o"))]}, {}, False),
        ({"operator": "AND", "nodes": [node(PHP), node(match("example:plugin", False))]}, {}, False),
        ({"operator": "AND", "nodes": [node(PHP), node(match("apache:http_server", False))]}, {}, False),
        ({"operator": "AND", "nodes": [node(PHP), node(match("apache:http_server", False))]}, {"http_server": ["2.4.1"]}, True),
        (
            {"operator": "AND", "nodes": [node(PHP), node(match("apache:http_server", False, versionEndExcluding="2.4"))]},
            {"http_server": ["2.4.1"]},
            False,
        ),
        (
            {"operator": "AND", "nodes": [node(PHP), node(match("apache:http_server", False, versionEndExcluding="2.4"))]},
            {"http_server": [None]},
            True,
        ),
        (
            {
                "operator": "AND",
                "nodes": [node(PHP), node(match("apache:http_server", False), match("linux:linux_kernel", False))],
            },
            {},
            True,
        ),
        ({"operator": "OR", "nodes": [node(PHP), node(match("apache:http_server", False))]}, {}, True),
        ({"nodes": [node(PHP, match("apache:http_server"), operator="AND")]}, {}, False),
        ({"nodes": [node(PHP, match("apache:http_server"), operator="AND")]}, {"http_server": ["1"]}, True),
        ({"nodes": [node(PHP) | {"negate": True}]}, {}, False),
        ({"nodes": [{"operator": "OR", "children": [node(PHP)]}]}, {}, True),
    ],
)
def test_a_match_counts_when_what_it_needs_is_there(configuration, beside, wanted):
    record = {"cve": {"configurations": [configuration], "descriptions": [{"lang": "en", "value": "before 8.0"}]}}
    base = knowledge(*nvd.record_facts("CVE-2024-1", record, COMPONENTS))
    found = base.vulnerabilities(Component(name="php", version="7.4.1"), {"php": ["7.4.1"], **beside})
    assert bool(found) is wanted


@pytest.mark.parametrize("configuration", [{}, {"nodes": [7]}, {"nodes": []}, {"nodes": [{"cpeMatch": [7]}]}])
def test_an_empty_configuration_matches_nothing(configuration):
    assert list(matches(configuration, COMPONENTS)) == []


# --------------------------------------------------------------------------- what part a CVE is about


def test_releases_older_than_the_part_are_not_affected():
    base = knowledge(
        Affected("zlib", "CVE-2018-25032", "", True, "1.2.12", False, "CVE List"),
        Affected("dnsmasq", "CVE-2023-50868", "", True, "2.90", False, "NVD"),
        Affected("dropbear", "CVE-2023-48795", "2022.82", True, "2022.83", True, "NVD"),
    )
    for name, version, cve, hit in (
        ("zlib", "1.1.4", "CVE-2018-25032", False),
        ("zlib", "1.2.2.2", "CVE-2018-25032", True),
        ("zlib", "1.2.11", "CVE-2018-25032", True),
        ("zlib", "1.2.12", "CVE-2018-25032", False),
        ("dnsmasq", "2.68", "CVE-2023-50868", False),
        ("dnsmasq", "2.69", "CVE-2023-50868", True),
        ("dropbear", "2020.79", "CVE-2023-48795", False),  # a range that begins later stays as it is
        ("dropbear", "2022.83", "CVE-2023-48795", True),
    ):
        assert (cve in judged(part(name, version), base)[0]) == hit, (name, version)


def test_a_multi_call_program_without_the_applet_is_not_affected():
    base = knowledge(
        *(
            Affected("busybox", cve, "", True, "1.40.0", False, "NVD")
            for cve in ("CVE-2021-42386", "CVE-2022-28391", "CVE-2022-48174")
        )
    )
    assert judged(part(), base)[0] == {"CVE-2021-42386", "CVE-2022-28391", "CVE-2022-48174"}, "nobody looked"
    affected, aside = judged(part(parts=("netstat",)), base)
    assert affected == {"CVE-2022-28391", "CVE-2022-48174"}
    assert aside == {"CVE-2021-42386": ("not_affected", "the program has no applet awk")}
    assert judged(part(parts=()), base)[0] == {"CVE-2022-48174"}


def test_every_part_that_a_cve_is_about_is_looked_for():
    asked = {name for entry in traits._file().parts if entry.component == "busybox" for name in entry.names}
    for entry in origins.origins():
        assert entry.since or entry.applets
        assert entry.source.startswith("https://")
        assert set(entry.applets) <= asked


# --------------------------------------------------------------------------- the device as a whole

DEVICE = Product(maker="Acme Corp.", model="RT-100", version="1.2.3")


@pytest.mark.parametrize(
    ("product", "applies_here"),
    [
        ("pkg:generic/acme/rt-100@1.2.3", True),
        ("pkg:generic/rt100@v1.2.3?arch=mips", True),
        ("pkg:generic/rt-100", True),  # every version
        ("cpe:2.3:o:acme:rt-100_firmware:1.2.3:*:*:*:*:*:*:*", True),
        ("cpe:/o:acme:rt-100_firmware:1.2.3", True),
        ("cpe:2.3:h:acme:rt-100:-:*:*:*:*:*:*:*", True),
        ("Acme Corp. RT-100 1.2.3", True),
        ("RT-100@1.2.3", True),
        ("pkg:generic/acme/rt-100@1.2.4", False),
        ("cpe:2.3:o:acme:rt-200_firmware:1.2.3:*:*:*:*:*:*:*", False),
        ("RT-100 1.3", False),
        ("busybox@1.2.3", False),
        ("", False),
    ],
)
def test_a_statement_about_the_device_is_about_every_component(busybox, product, applies_here):
    statement = Statement(CVES[0], product, "", "not_affected", "the service is not reachable", "device.json")
    (found,) = annotate([part()], busybox, [statement], product=DEVICE)
    assert [each.id for each in found.set_aside] == ([CVES[0]] if applies_here else [])
    (undeclared,) = annotate([part()], busybox, [statement])
    assert undeclared.set_aside == ()


def test_an_affected_component_is_not_set_aside_by_its_device(busybox):
    device = Statement(CVES[0], "RT-100@1.2.3", "", "not_affected", "", "device.json")
    component = Statement(CVES[0], "busybox@1.33.1", "", "affected", "", "part.json")
    (found,) = annotate([part()], busybox, [device, component], product=DEVICE)
    assert found.set_aside == ()


def test_a_severity_in_words_stands_where_nobody_gives_a_score():
    base = knowledge(
        Affected("busybox", "CVE-2030-0001", "", True, "1.36.0", False, "NVD"),
        Score("CVE-2030-0001", "high", "NVD"),
        Affected("busybox", "CVE-2030-0002", "", True, "1.36.0", False, "NVD"),
        Score("CVE-2030-0002", "critical", "NVD"),
        Score("CVE-2030-0002", 5.3, "OSV"),
    )
    (found,) = annotate([part()], base)
    told = {each.id: (each.score, each.severity, each.weight) for each in found.vulnerabilities}
    assert told == {"CVE-2030-0001": (None, "high", 7.0), "CVE-2030-0002": (5.3, "", 5.3)}
    assert [each.id for each in found.vulnerabilities] == ["CVE-2030-0001", "CVE-2030-0002"], "what is graver comes first"
