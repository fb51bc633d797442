import json
from pathlib import Path, PurePosixPath

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.trees import firmware_of

from fwcheck.device._compilers import compilers
from fwcheck.device._library_names import kernel_release, library
from fwcheck.device._packages import packages
from fwcheck.device.components import components
from fwcheck.device.firmware import Firmware
from fwcheck.device.products import by_cpe, by_package, cpe, products, purl
from fwcheck.model import BannerHit, Coverage, ElfFacts, Facts, Image, Node, NodeKind, PackageFact

CHAIN = ("test.bin", "squashfs@0x0")
OPKG = """Package: busybox
Version: 1.25.1-4
Status: install user installed
Architecture: mips_24kc

Package: libopenssl
Version: 1.0.2d-1
Status: install user installed
Architecture: mips_24kc

Package: openssl-util
Version: 1.0.2d-1
Status: install user installed
Architecture: mips_24kc

Package: kmod-ath
Version: 4.4.92+2017-01-31-3
Status: install user installed
Architecture: mips_24kc

Package: kernel
Version: 4.4.92-1-45d282495a15974d60f8edb091d0e2a9
Status: install ok installed
Architecture: mips_24kc

Package: wpad-mini
Version: 2016-12-19-ad02e79d-6
Status: install user installed
Architecture: mips_24kc

Package: removed
Version: 1.0-1
Status: deinstall ok not-installed
"""


def elf(soname=None, needed=(), modinfo=None):
    return ElfFacts(machine="mips", bits=32, endian="big", type="shared", soname=soname, needed=needed, modinfo=modinfo or {})


def hit(component, version, pattern=None, confidence="certain", offset=16):
    return BannerHit(
        component=component,
        version=version,
        offset=offset,
        text=f"{component} {version}",
        pattern=pattern or component,
        confidence=confidence,
    )


def firmware(files, directories=(), loose=()):
    """Files by path, each the facts' changes: banners, elf, text."""
    nodes, facts = [Node(chain=CHAIN, path="", kind=NodeKind.CONTAINER, format="squashfs")], {}
    for number, (path, change) in enumerate([*files.items(), *loose]):
        digest = f"{number:064x}"
        facts[digest] = Facts(**{"sha256": digest, "size": 1, "kind": "elf", **change})
        nodes.append(Node(chain=CHAIN, path=path, kind=NodeKind.FILE, size=1, sha256=digest))
    parents = {str(parent) for path in [*files, *directories] for parent in PurePosixPath(path).parents}
    nodes += [Node(chain=CHAIN, path=path, kind=NodeKind.DIRECTORY) for path in sorted(parents | set(directories))]
    image = Image(name="test.bin", size=1, sha256="0" * 64, format="squashfs")
    return Firmware(image, nodes, facts, Coverage())


def versions(found, name):
    return [each.version for each in found if each.name == name]


def named(found, name):
    (only,) = (each for each in found if each.name == name)
    return only


def test_each_package_is_one_component_and_carries_its_exact_package_version():
    found = components(firmware_of({"/usr/lib/opkg/status": OPKG}))
    assert {each.purl.split("?")[0] for each in found} == {
        "pkg:opkg/busybox@1.25.1-4",
        "pkg:opkg/libopenssl@1.0.2d-1",
        "pkg:opkg/openssl-util@1.0.2d-1",
        "pkg:opkg/kmod-ath@4.4.92%2B2017-01-31-3",
        "pkg:opkg/kernel@4.4.92-1-45d282495a15974d60f8edb091d0e2a9",
        "pkg:opkg/wpad-mini@2016-12-19-ad02e79d-6",
    }


def test_the_upstream_name_has_the_upstream_version_alone():
    found = components(firmware_of({"/usr/lib/opkg/status": OPKG}))
    assert versions(found, "busybox") == ["1.25.1"]
    assert versions(found, "openssl") == ["1.0.2d"]
    assert versions(found, "linux_kernel") == ["4.4.92"]
    assert versions(found, "kmod-ath") == ["4.4.92+2017-01-31-3"]
    assert named(found, "busybox").package == "1.25.1-4"
    assert named(found, "busybox").cpe == "cpe:2.3:a:busybox:busybox:1.25.1:*:*:*:*:*:*:*"
    assert named(found, "openssl-util").cpe is None
    assert named(found, "busybox").evidence[0].location.line == 1


def test_debian_and_alpine_databases_name_their_packages():
    dpkg = "Package: libssl1.1\nStatus: install ok installed\nArchitecture: armhf\nSource: openssl\nVersion: 1.1.1n-0+deb11u5\n"
    apk = "C:Q1abc=\nP:dropbear\nV:2022.83-r1\nA:armv7\no:dropbear\n\nP:musl\nV:1.2.3-r4\nA:armv7\no:musl\n"
    found = components(
        firmware_of(
            {"/var/lib/dpkg/status": dpkg, "/lib/apk/db/installed": apk, "/etc/os-release": 'ID=debian\nVERSION_ID="11"\n'}
        )
    )
    assert named(found, "openssl").version == "1.1.1n"
    assert named(found, "openssl").purl == "pkg:deb/debian/libssl1.1@1.1.1n-0%2Bdeb11u5?arch=armhf&distro=debian-11"
    assert named(found, "dropbear").version == "2022.83"
    assert named(found, "musl").version == "1.2.3"
    assert named(found, "debian_linux").version == "11"


def test_the_same_version_at_several_places_is_one_component_with_all_evidence():
    found = components(
        firmware(
            {
                "/usr/lib/libssl.so.1.0.0": {
                    "banners": (hit("openssl", "1.0.2f"),),
                    "elf": elf("libssl.so.1.0.0", ("libcrypto.so.1.0.0",)),
                },
                "/usr/lib/libcrypto.so.1.0.0": {"banners": (hit("openssl", "1.0.2f"),), "elf": elf("libcrypto.so.1.0.0")},
            }
        )
    )
    assert [each.name for each in found] == ["openssl"]
    assert len(found[0].evidence) == 2
    assert found[0].evidence[0].location.offset == 16


def test_two_versions_in_two_binaries_are_two_components():
    found = components(
        firmware(
            {
                "/lib/libcrypto.so.0.9.8": {"banners": (hit("openssl", "0.9.8a"),), "elf": elf("libcrypto.so.0.9.8")},
                "/bin/wscd": {"banners": (hit("openssl", "0.9.8b"),), "elf": elf()},
            }
        )
    )
    assert versions(found, "openssl") == ["0.9.8a", "0.9.8b"]


def test_a_program_that_needs_a_library_quotes_the_headers_it_was_built_against():
    program = {"banners": (hit("openssl", "1.0.2"),), "elf": elf(None, ("libssl.so.1.0.0",))}
    library_facts = {"banners": (hit("openssl", "1.0.2k"),), "elf": elf("libssl.so.1.0.0")}
    found = components(firmware({"/bin/vpn": program, "/lib/libssl.so.1.0.0": library_facts}))
    assert versions(found, "openssl") == ["1.0.2k"]
    alone = components(firmware({"/bin/vpn": program}))
    assert [(each.version, each.confidence) for each in alone] == [("1.0.2", "tentative")]


def test_a_file_that_lists_the_versions_of_others_is_no_witness_of_any():
    table = {"banners": tuple(hit("strongswan", f"4.3.{micro}", offset=micro) for micro in range(5)), "elf": elf()}
    assert versions(components(firmware({"/usr/libexec/ipsec/pluto": table})), "strongswan") == []
    two = {"banners": (hit("zlib", "1.2.3"), hit("zlib", "1.2.11", offset=99)), "elf": elf()}
    assert versions(components(firmware({"/bin/app": two})), "zlib") == ["1.2.11", "1.2.3"]


def test_older_releases_that_a_library_passes_for_are_no_components():
    banners = tuple(
        BannerHit(component="openssl", version=version, offset=at, text=f"OpenSSL {version}-fips 1 Jan 2013", pattern="openssl")
        for at, version in enumerate(("1.0.0", "1.0.1e", "1.0.2k"))
    )
    assert versions(components(firmware({"/lib/libcrypto.so.1.0.2k": {"banners": banners, "elf": elf()}})), "openssl") == [
        "1.0.2k"
    ]


def fact(ecosystem, name, version, **more):
    return {"kind": "text", "packages": (PackageFact(ecosystem=ecosystem, name=name, version=version, **more),)}


def test_packages_of_languages_are_components_under_their_own_names_and_urls():
    files = {
        "/usr/lib/python3/site-packages/redis-4.0.dist-info/METADATA": fact("pypi", "redis", "4.0", license="MIT"),
        "/www/node_modules/jquery/package.json": fact("npm", "jquery", "3.4.1"),
        "/www/js/jquery.js": {"kind": "text", "banners": (hit("jquery", "3.4.1"),)},
        "/usr/lib/node_modules/@types/node/package.json": fact("npm", "@types/node", "14.0.1"),
        "/usr/bin/agent": fact("golang", "github.com/gorilla/mux", "v1.8.0"),
        "/usr/share/java/x/pom.properties": fact("maven", "org.apache.commons/commons-lang3", "3.12.0"),
    }
    found = {each.purl: each for each in components(firmware(files))}
    assert found["pkg:pypi/redis@4.0"].name == "python-redis"
    assert found["pkg:pypi/redis@4.0"].cpe is None
    assert found["pkg:pypi/redis@4.0"].license == "MIT"
    assert len(found["pkg:npm/jquery@3.4.1"].evidence) == 2
    assert found["pkg:npm/jquery@3.4.1"].cpe == "cpe:2.3:a:jquery:jquery:3.4.1:*:*:*:*:*:*:*"
    assert found["pkg:npm/%40types/node@14.0.1"].name == "@types/node"
    assert found["pkg:golang/github.com/gorilla/mux@v1.8.0"].version == "1.8.0"
    assert found["pkg:maven/org.apache.commons/commons-lang3@3.12.0"].confidence == "certain"
    assert len(found) == 5


def test_packages_of_rpm_and_of_a_yocto_manifest_stand_for_their_projects():
    files = {
        "/var/lib/rpm/rpmdb.sqlite": {
            "kind": "sqlite",
            "packages": (
                PackageFact(ecosystem="rpm", name="busybox", version="1.36.1-r0", arch="armv7hl", license="GPL-2.0-only"),
                PackageFact(ecosystem="rpm", name="openssl-conf", version="3.0.8-r0", source="openssl"),
            ),
        },
    }
    found = components(firmware(files, ["/var/lib/rpm"]))
    assert (named(found, "busybox").version, named(found, "busybox").package) == ("1.36.1", "1.36.1-r0")
    assert named(found, "busybox").purl == "pkg:rpm/busybox@1.36.1-r0?arch=armv7hl"
    assert named(found, "busybox").license == "GPL-2.0-only"
    manifest = {"/usr/share/common-licenses/license.manifest": fact("yocto", "dropbear", "2022.82", source="dropbear")}
    assert named(components(firmware(manifest)), "dropbear").version == "2022.82"


def test_a_package_list_of_a_whole_distribution_is_read_to_its_end():
    from fwcheck.inspection.text import text_of

    stanzas = "".join(
        f"Package: filler-{n}\nStatus: install ok installed\nVersion: 1.0-{n}\nDescription: {'x' * 200}\n\n" for n in range(3000)
    )
    raw = (stanzas + "Package: busybox\nStatus: install ok installed\nVersion: 1:1.35.0-4\n").encode()
    assert len(raw) > 512 << 10
    text = text_of(raw, "text")
    found = components(firmware({"/var/lib/dpkg/status": {"kind": "text", "text": text}}))
    assert versions(found, "busybox") == ["1.35.0"]


def test_a_distribution_kernel_is_known_by_its_upstream_version():
    banners = (hit("linux_kernel", "6.1.0", "linux"), hit("linux_kernel", "6.1.176", "linux-debian"))
    found = components(firmware({}, ["/lib/modules/6.1.0-50-armmp"], loose=[("0x40", {"kind": "binary", "banners": banners})]))
    assert versions(found, "linux_kernel") == ["6.1.176"]


def test_a_release_name_without_upstream_version_says_that_the_version_is_unknown():
    found = components(firmware({}, ["/lib/modules/5.15.0-91-generic"]))
    assert [(each.version, each.confidence) for each in found] == [(None, "tentative")]


def test_a_module_directory_that_contradicts_the_kernel_is_told_in_its_evidence():
    modules = {"/lib/modules/2.6.31/a.ko": {"elf": elf(modinfo={"vermagic": "2.6.31 mips"})}}
    kernel = [("0x0", {"kind": "binary", "banners": (hit("linux_kernel", "3.10.14", "linux"),)})]
    found = components(firmware(modules, ["/lib/modules/2.6.31"], kernel))
    assert versions(found, "linux_kernel") == ["3.10.14"]
    assert any("2.6.31; overruled" in each.text for each in found[0].evidence)


def test_the_banner_of_a_packages_own_file_overrules_the_database():
    status = "Package: dropbear\nVersion: 2012.55-1\nStatus: install ok installed\n"
    files = {
        "/usr/lib/opkg/status": {"kind": "text", "text": status},
        "/usr/lib/opkg/info/dropbear.list": {"kind": "text", "text": "/usr/sbin/dropbear\n"},
        "/usr/sbin/dropbear": {"banners": (hit("dropbear", "2019.78"),), "elf": elf()},
    }
    found = components(firmware(files))
    assert sorted(map(str, versions(found, "dropbear"))) == ["2019.78", "None"]
    assert any("but 2019.78 is installed" in each.text for part in found for each in part.evidence)


def test_a_shorter_banner_of_the_packaged_release_is_no_second_version():
    files = {
        "/usr/lib/opkg/status": {"kind": "text", "text": "Package: miniupnpd\nVersion: 1.9.20141209-1\n"},
        "/usr/lib/opkg/info/miniupnpd.list": {"kind": "text", "text": "/usr/sbin/miniupnpd\n"},
        "/usr/sbin/miniupnpd": {"banners": (hit("miniupnpd", "1.9"),), "elf": elf()},
    }
    found = components(firmware(files))
    assert versions(found, "miniupnpd") == ["1.9"]
    assert found[0].package == "1.9.20141209-1"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("libuClibc-0.9.33.2.so", ("uclibc", "0.9.33.2")),
        ("ld-uClibc-1.0.31.so", ("uclibc-ng", "1.0.31")),
        ("libz.so.1.2.8", ("zlib", "1.2.8")),
        ("libpng16.so.16.37.0", ("libpng", "1.6.37")),
        ("libglib-2.0.so.0.5600.4", ("glib", "2.56.4")),
        ("libc-2.16.so", ("glibc", "2.16")),
        ("liblzma-f444c404.so.5.2.2", ("xz", "5.2.2")),
        ("libfreetype-0891c94d.so.6.15.0", ("freetype", "2.8.1")),
        ("libfreetype.so.6.99.0", None),
        ("libharfbuzz.so.0.60000.0", ("harfbuzz", "6.0.0")),
        ("libcairo.so.2.11600.0", ("cairo", "1.16.0")),
        ("libpango-1.0.so.0.5000.12", ("pango", "1.50.12")),
        ("liblcms2-08bcf862.so.2.0.8", ("little_cms_color_engine", "2.8")),
        ("libjansson.so.4.14.0", ("jansson", "2.14")),
        ("libarchive.so.13.6.2", ("libarchive", "3.6.2")),
        ("libfuse3.so.3.14.0", ("fuse", "3.14.0")),
        ("libelf-0.188.so", ("elfutils", "0.188")),
        ("libpulsecommon-16.1.so", ("pulseaudio", "16.1")),
        ("libssl.so.1.0.0", None),
        ("libcurl.so.4.3.0", None),
        ("libsqlite3.so.0.8.6", None),
        ("libpcre.so.1.2.4", None),
    ],
)
def test_a_library_name_says_a_release_only_where_its_project_puts_it(name, wanted):
    found = library(name)
    assert (found and found[:2]) == wanted


@pytest.mark.parametrize(
    ("release", "wanted"),
    [
        ("3.10.14", "3.10.14"),
        ("2.6.31--LSDK-9.2.0.312", "2.6.31"),
        ("4.4.92", "4.4.92"),
        ("6.1.0-50-armmp", None),
        ("wifi", None),
        ("", None),
    ],
)
def test_a_kernel_release_gives_the_upstream_version_or_nothing(release, wanted):
    assert kernel_release(release) == wanted


@pytest.mark.parametrize(
    ("name", "version", "wanted"),
    [
        ("openssh", "6.7p1", "cpe:2.3:a:openbsd:openssh:6.7:p1:*:*:*:*:*:*"),
        ("boa", "0.94.14rc21", "cpe:2.3:a:boa:boa:0.94.14:rc21:*:*:*:*:*:*"),
        ("hostapd", "2.0-devel", "cpe:2.3:a:w1.fi:hostapd:2.0:devel:*:*:*:*:*:*"),
        ("openssl", "1.0.2f", "cpe:2.3:a:openssl:openssl:1.0.2f:*:*:*:*:*:*:*"),
        ("linux_kernel", "4.4.92", "cpe:2.3:o:linux:linux_kernel:4.4.92:*:*:*:*:*:*:*"),
        ("busybox", None, "cpe:2.3:a:busybox:busybox:*:*:*:*:*:*:*:*"),
        ("zlib", "1.2.8+x:y", r"cpe:2.3:a:zlib:zlib:1.2.8\+x\:y:*:*:*:*:*:*:*"),
        ("no such thing", "1", None),
    ],
)
def test_a_cpe_keeps_its_release_mark_apart_and_quotes_the_rest(name, version, wanted):
    assert cpe(name, version) == wanted


def test_a_package_url_quotes_what_the_grammar_needs():
    assert (
        purl("deb", "libstdc++6", "1:2.0+x", "debian", arch="armhf", distro="")
        == "pkg:deb/debian/libstdc%2B%2B6@1:2.0%2Bx?arch=armhf"
    )


def test_names_in_the_catalogue_point_one_way():
    listed = [package for product in products().values() for package in product.packages]
    assert len(listed) == len(set(listed)) == len(by_package())
    pairs = [pair for product in products().values() for pair in product.cpe]
    assert len(pairs) == len(set(pairs)) == len(by_cpe())


@given(st.text(max_size=400))
def test_no_text_of_a_database_breaks_the_reader(text):
    files = dict.fromkeys(
        ("/usr/lib/opkg/status", "/var/lib/dpkg/status", "/lib/apk/db/installed", "/etc/os-release"),
        text.encode("utf-8", "replace"),
    )
    (fs,) = firmware({path: {"kind": "text", "text": text} for path in files}).filesystems
    assert isinstance(packages(fs), list)
    components(firmware({path: {"kind": "text", "text": text} for path in files}))


CORPUS = Path(__file__).parents[3] / "shared" / "corpus"


@pytest.mark.corpus
def test_the_truth_of_package_databases_in_the_corpus_is_what_the_reader_expects():
    lists = sorted((CORPUS / "truth" / "open").glob("opkg-*.json"))
    if not lists:
        pytest.skip("the shared corpus is not here")
    for each in lists:
        truth = json.loads(each.read_text())
        status = "".join(f"Package: {name}\nVersion: {version}\nStatus: install ok installed\n\n" for name, version in truth)
        found = components(firmware_of({"/usr/lib/opkg/status": status}))
        assert len([part for part in found if part.package]) == len({(name, version) for name, version in truth})


# --------------------------------------------------------------------------- compilers, configurations, manifests


def compiled(*remarks, modinfo=None):
    return ElfFacts(machine="mips", bits=32, endian="big", type="executable", comment=remarks, modinfo=modinfo or {})


@pytest.mark.parametrize(
    ("remark", "told"),
    [
        ("GCC: (GNU) 4.3.3", ("gcc", "4.3.3")),
        ("GCC: (crosstool-NG 1.20.0) 4.9.1", ("gcc", "4.9.1")),
        ("GCC: (OpenWrt GCC 12.3.0 r23497-6637af95aa) 12.3.0", ("gcc", "12.3.0")),
        ("GCC: (Buildroot 2018.02-git-00927-gf4ad6b0) 6.4.0", ("gcc", "6.4.0")),
        ("GCC: (Linaro GCC 4.8-2014.04) 4.8.3 20140401 (prerelease)", ("gcc", "4.8.3")),
        ("GCC: (Debian 12.2.0-14+deb12u1) 12.2.0", ("gcc", "12.2.0")),
        ("GCC: (Sourcery CodeBench Lite 2012.09-99) 4.7.2", ("gcc", "4.7.2")),
        ("clang version 10.0.1 ", ("clang", "10.0.1")),
        ("Android (6454773 based on r365631c2) clang version 9.0.8 (https://a.example 98c) (based on LLVM 9.0.8svn)",
         ("clang", "9.0.8")),
        ("Linker: LLD 14.0.6", None),
        ("GCC: (GNU)", None),
    ],
)  # fmt: skip
def test_compilers_are_what_several_programs_name(remark, told):
    def named(count):
        files = {f"/bin/p{number}": {"elf": compiled(remark)} for number in range(count)}
        return [(each.name, each.version) for each in compilers(firmware(files))]

    assert named(3) == ([told] if told else [])
    assert named(2) == []


def test_what_built_a_package_alone_is_no_part_of_a_device():
    files = {f"/pkg/p{number}.so": {"elf": compiled("GCC: (GNU) 8.3.1")} for number in range(4)}
    image = firmware(files)
    assert [each.name for each in compilers(image)] == ["gcc"]
    image.image = msgspec.structs.replace(image.image, format="zip")
    assert list(compilers(image)) == []


def test_a_compiler_of_start_files_alone_is_not_told():
    both = compiled("GCC: (GNU) 3.3.2", "GCC: (Buildroot 2012.11.1) 4.6.3")
    files = {f"/bin/p{number}": {"elf": both} for number in range(4)}
    assert [each.version for each in compilers(firmware(files))] == ["4.6.3"]
    files["/bin/old"] = {"elf": compiled("GCC: (GNU) 3.3.2")}
    assert [each.version for each in compilers(firmware(files))] == ["3.3.2", "4.6.3"]


BUILDROOT = """"PACKAGE","VERSION","LICENSE","LICENSE FILES","SOURCE ARCHIVE","SOURCE SITE","DEPENDENCIES WITH LICENSES"
"busybox","1.36.1","GPL-2.0, bzip2-1.0.4","LICENSE","busybox-1.36.1.tar.bz2","https://busybox.example","skeleton [unknown]"
"libopenssl","3.0.14","Apache-2.0","LICENSE.txt","openssl-3.0.14.tar.gz","https://openssl.example",""
"skeleton","","unknown","not saved","not saved","",""
"host-gcc","12.3.0","GPL","COPYING","","",""
"vendor-app","2.1","PROPRIETARY","","","",""
"""


def test_the_manifest_of_a_buildroot_build_names_its_packages():
    found = {each.name: each for each in components(firmware_of({"/usr/share/legal-info/manifest.csv": BUILDROOT}))}
    assert {name: each.version for name, each in found.items()} == {
        "busybox": "1.36.1", "openssl": "3.0.14", "vendor-app": "2.1",
    }  # fmt: skip
    assert found["openssl"].license == "Apache-2.0"
    assert found["busybox"].cpe is not None
    assert found["vendor-app"].cpe is None


def test_modules_added_to_perl_are_components_and_its_own_are_not():
    module = "package Net::Server;\nuse strict;\nour $VERSION = '2.009';\n1;\n"
    files = {
        "/usr/lib/perl5/site_perl/Net/Server.pm": module,
        "/usr/lib/perl/5.36.0/IO/File.pm": module.replace("Net::Server", "IO::File"),
    }
    found = components(firmware_of(files))
    assert [(each.name, each.version, each.purl) for each in found] == [("perl-net-server", "2.009", "pkg:cpan/Net-Server@2.009")]


def test_the_configuration_of_a_kernel_is_evidence_of_its_release():
    options = "".join(f"CONFIG_OPTION_{number}=y\n" for number in range(200))
    text = f"#\n# Automatically generated file; DO NOT EDIT.\n# Linux/arm 4.9.84 Kernel Configuration\n#\n{options}"
    (found,) = components(firmware_of({"/boot/config-4.9.84": text}))
    assert (found.name, found.version) == ("linux_kernel", "4.9.84")
