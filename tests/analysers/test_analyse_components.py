import msgspec
import pytest
from support.trees import firmware_of

from fwcheck.analysers.components import analyse
from fwcheck.model import Component, Device, ElfFacts, Evidence, Listener, Location, Service, Severity, Vulnerability

NOTHING = firmware_of({"/etc/motd": "x"})
EXPLOITED = Vulnerability(id="CVE-2017-7494", score=9.8, known_exploited=True, fixed_in="4.4.14")
GRAVE = Vulnerability(id="CVE-2017-14491", score=9.8, fixed_in="2.78")
MINOR = Vulnerability(id="CVE-2015-3310", score=4.3)


def component(name="dnsmasq", version="2.71", vulnerabilities=(), **changes):
    place = Location(chain=("test.bin", "squashfs@0x0"), path=f"/usr/sbin/{name}", offset=64)
    return Component(
        name=name,
        version=version,
        evidence=(Evidence(location=place, text=f"{name}-{version}"),),
        vulnerabilities=vulnerabilities,
        **changes,
    )


def findings(*components, services=()):
    return list(analyse(NOTHING, Device(components=components, services=services)))


def test_one_finding_names_the_worst_vulnerabilities_of_a_version():
    many = tuple(Vulnerability(id=f"CVE-2020-{number}", score=9.0) for number in range(1000, 1040))
    (found,) = findings(component(vulnerabilities=(GRAVE, *many)))
    assert (found.rule, found.verdict, found.severity) == ("CVE-001", "concern", Severity.MEDIUM)
    assert "CVE-2017-14491 (CVSS 9.8, fixed in 2.78)" in found.evidence
    assert "and 36 more" in found.evidence
    assert found.location.offset == 64


def test_an_exploited_vulnerability_of_an_enabled_service_is_high():
    samba = component("samba", "3.6.1", (EXPLOITED,))
    service = Service(name="samba", program="/usr/sbin/smbd", enabled="yes", started_by="/etc/rc.d/S60samba")
    assert [each.severity for each in findings(samba)] == [Severity.MEDIUM]
    assert [each.severity for each in findings(samba, services=(service,))] == [Severity.HIGH]


@pytest.mark.parametrize("state", ["no", "unknown"])
def test_a_service_that_is_not_known_to_start_raises_nothing(state):
    service = Service(name="smbd", program="/usr/sbin/smbd", enabled=state)
    assert [each.severity for each in findings(component("samba", "3.6.1", (EXPLOITED,)), services=(service,))] == [
        Severity.MEDIUM
    ]


def test_a_version_alone_is_never_a_violation():
    found = findings(component(vulnerabilities=(EXPLOITED, GRAVE), end_of_life="2015-12-31"))
    assert {each.verdict for each in found} == {"concern"}
    assert {each.confidence for each in found} <= {"firm", "tentative"}


def test_minor_vulnerabilities_stay_in_the_bill_of_materials():
    assert findings(component(vulnerabilities=(MINOR,))) == []


def test_a_distribution_package_is_tentative_because_fixes_are_taken_over():
    (found,) = findings(component(vulnerabilities=(GRAVE,), package="2.71-5", confidence="certain"))
    assert found.confidence == "tentative"
    assert "distribution" in found.refuted_by


def test_a_component_past_its_end_of_life_is_a_concern_with_its_date():
    (found,) = findings(component("openssl", "0.9.8a", end_of_life="2015-12-31"))
    assert (found.rule, found.criteria, found.severity) == ("CVE-002", ("S1.1-09",), Severity.MEDIUM)
    assert "2015-12-31" in found.evidence


def test_a_version_found_in_two_packages_is_one_finding():
    twice = component(vulnerabilities=(GRAVE,)), component(vulnerabilities=(GRAVE,), purl="pkg:opkg/dnsmasq@2.71-5")
    assert len(findings(*twice)) == 1


def test_an_unknown_version_says_nothing():
    assert findings(component(version=None, vulnerabilities=(GRAVE,), end_of_life="2015-12-31")) == []


def test_the_cause_stands_while_the_version_stands():
    elsewhere = component(vulnerabilities=(GRAVE, MINOR))
    assert findings(component(vulnerabilities=(GRAVE,)))[0].fingerprint == findings(elsewhere)[0].fingerprint


# --------------------------------------------------------------------------- what is reached from the network


NEEDED = {"/usr/sbin/webd": ("libmid.so.1",), "/usr/lib/libmid.so.1": ("libssl.so.1.0.0",), "/lib/libssl.so.1.0.0": ()}
WEB = Service(name="web", program="/usr/sbin/webd", enabled="yes", started_by="/etc/rc.d/S50web", reachable="yes")


def reached(service, listeners=(), *, chain=True):
    tree = firmware_of({path: path for path in NEEDED})
    root = tree.filesystems[0]
    for path, needed in NEEDED.items():
        elf = ElfFacts(machine="mips", bits=32, endian="big", type="shared", needed=needed)
        root._facts[root.nodes[path].sha256] = msgspec.structs.replace(root.facts(path), elf=elf)
    place = Location(chain=root.chain, path="/lib/libssl.so.1.0.0" if chain else "/lib/libother.so")
    library = Component(
        name="openssl",
        version="1.0.1e",
        evidence=(Evidence(location=place, text="OpenSSL 1.0.1e"),),
        vulnerabilities=(EXPLOITED,),
    )
    services = (msgspec.structs.replace(service, root=root.label),)
    listening = tuple(msgspec.structs.replace(each, root=root.label) for each in listeners)
    return list(analyse(tree, Device(components=(library,), services=services, listeners=listening)))


def test_a_library_of_a_service_that_answers_by_default_is_high():
    (found,) = reached(WEB, [Listener(port=443, protocol="tcp", address="0.0.0.0", service="web")])
    assert found.severity == Severity.HIGH
    assert "web is started by default (/etc/rc.d/S50web) and answers on tcp/443" in found.evidence


@pytest.mark.parametrize(
    "changes", [{"enabled": "no"}, {"enabled": "unknown"}, {"reachable": "loopback"}, {"reachable_from": "local"}]
)
def test_a_library_of_a_service_that_cannot_be_reached_is_not(changes):
    assert [each.severity for each in reached(msgspec.structs.replace(WEB, **changes))] == [Severity.MEDIUM]


def test_a_library_that_no_service_needs_is_not():
    assert [each.severity for each in reached(WEB, chain=False)] == [Severity.MEDIUM]


def test_what_matters_most_comes_first():
    likely = Vulnerability(id="CVE-2021-1", score=9.1, epss=0.9)
    parts = [
        component("zlib", "1.2.8", (GRAVE,)),
        component("curl", "7.1", (likely,)),
        component("samba", "3.6.1", (EXPLOITED,)),
        component("dropbear", "2012.55", (GRAVE,)),
    ]
    service = Service(name="ssh", program="/usr/sbin/dropbear", enabled="yes", started_by="/etc/inittab:3")
    found = findings(*parts, services=(service,))
    assert [each.title.split()[0] for each in found] == ["samba", "dropbear", "zlib", "curl"]
    assert "EPSS 90%" in found[-1].evidence


def test_a_probable_exploit_is_told_whatever_its_score():
    (found,) = findings(component("zlib", "1.2.8", (Vulnerability(id="CVE-2021-1", epss=0.8),)))
    assert "CVE-2021-1 (EPSS 80%)" in found.evidence
    assert findings(component("zlib", "1.2.8", (Vulnerability(id="CVE-2021-1", epss=0.3),))) == []


def test_what_is_set_aside_is_told_with_its_reason():
    gone = msgspec.structs.replace(GRAVE, status="not_affected", reason="product.json: code not present", ground="statement")
    (found,) = findings(component(set_aside=(gone,)))
    assert (found.rule, found.verdict, found.criteria) == ("CVE-003", "info", ())
    assert "CVE-2017-14491: product.json: code not present" in found.evidence


def test_what_the_kernel_was_not_built_with_is_told_in_one_sentence():
    gone = [
        Vulnerability(id=f"CVE-2024-{number}", status="not_affected", reason=f"fs/{number}.c: CONFIG_X not set", ground=ground)
        for number, ground in enumerate(["configuration", "configuration", "architecture"], 1)
    ]
    (found,) = findings(component("linux_kernel", "4.9.84", set_aside=tuple(gone)))
    assert found.evidence.endswith("2 by the kernel's configuration, such as CVE-2024-1: fs/1.c: CONFIG_X not set")
    assert findings(component("linux_kernel", "4.9.84", set_aside=(gone[2],))) == []


def test_of_two_copies_the_one_that_is_started_counts():
    service = Service(name="ssh", program="/usr/local/bin/dropbear", enabled="yes", started_by="/etc/inittab:3")
    other = component("dropbear", "2012.55", (GRAVE,))  # /usr/sbin/dropbear
    assert [each.severity for each in findings(other, services=(service,))] == [Severity.MEDIUM]
