"""Which service runs which component, by what programs are linked to."""

from fwcheck.device.components import components
from fwcheck.device.firmware import Firmware
from fwcheck.device.linkage import with_uses
from fwcheck.model import BannerHit, Coverage, ElfFacts, Facts, Image, Listener, Node, NodeKind, Service

CHAIN = ("test.bin", "squashfs@0x0")
ROOT = " › ".join(CHAIN)


def elf(soname=None, needed=()):
    return ElfFacts(machine="arm", bits=32, endian="little", type="shared", soname=soname, needed=needed)


def firmware(files, links=()):
    nodes, facts = [Node(chain=CHAIN, path="", kind=NodeKind.CONTAINER, format="squashfs")], {}
    for number, (path, (component, soname, needed)) in enumerate(files.items()):
        digest = f"{number:064x}"
        banners = (
            (BannerHit(component=component, version="1.0", offset=9, text=f"{component} 1.0", pattern=component),)
            if component
            else ()
        )
        facts[digest] = Facts(sha256=digest, size=1, kind="elf", elf=elf(soname, needed), banners=banners)
        nodes.append(Node(chain=CHAIN, path=path, kind=NodeKind.FILE, size=1, sha256=digest))
    nodes += [
        Node(chain=CHAIN, path=path, kind=NodeKind.DIRECTORY) for path in ("/usr", "/usr/sbin", "/usr/lib", "/usr/bin", "/bin")
    ]
    nodes += [Node(chain=CHAIN, path=path, kind=NodeKind.SYMLINK, target=target) for path, target in links]
    return Firmware(Image(name="test.bin", size=1, sha256="0" * 64, format="squashfs"), nodes, facts, Coverage())


def service(name, program, enabled="yes"):
    return Service(name=name, program=program, enabled=enabled, root=ROOT, started_by="/etc/init.d/x:1")


TREE = {
    "/usr/sbin/lighttpd": ("lighttpd", None, ("libssl.so.1.1", "libpcre.so.1")),
    "/usr/lib/libssl.so.1.1": ("openssl", "libssl.so.1.1", ("libcrypto.so.1.1",)),
    "/usr/lib/libcrypto.so.1.1": (None, "libcrypto.so.1.1", ("libz.so.1",)),
    "/usr/lib/libz.so.1.2.11": ("zlib", "libz.so.1", ("libz.so.1",)),
    "/bin/busybox": ("busybox", None, ("missing.so.9",)),
    "/usr/bin/unused": ("curl", None, ("libz.so.1",)),
}
LINKS = [("/usr/sbin/telnetd", "../../bin/busybox")]


def read(services, listeners=()):
    image = firmware(TREE, LINKS)
    return {each.name: each for each in with_uses(image, components(image), services, listeners)}


def test_a_library_is_used_by_each_service_whose_program_is_linked_to_it_through_others():
    listener = Listener(port=443, protocol="tcp", address="0.0.0.0", service="lighttpd", root=ROOT)
    found = read([service("lighttpd", "/usr/sbin/lighttpd"), service("telnetd", "/usr/sbin/telnetd", "unknown")], [listener])
    (use,) = found["zlib"].used_by
    assert (use.service, use.program, use.started, use.listens, use.through) == (
        "lighttpd", "/usr/sbin/lighttpd", "yes", True, "/usr/lib/libz.so.1.2.11",
    )  # fmt: skip
    assert [(each.service, each.started, each.listens) for each in found["busybox"].used_by] == [("telnetd", "unknown", False)]
    assert found["curl"].used_by == ()


def test_a_service_that_does_not_start_uses_nothing():
    assert read([service("lighttpd", "/usr/sbin/lighttpd", "no")])["openssl"].used_by == ()


def test_components_depend_on_those_their_files_are_linked_to():
    found = read([])
    assert found["lighttpd"].depends_on == ("pkg:generic/openssl@1.0",)
    assert found["curl"].depends_on == ("pkg:generic/zlib@1.0",)
    assert found["zlib"].depends_on == ()  # a library that names itself


def test_many_libraries_that_name_each_other_end():
    files = {f"/lib/lib{n}.so": ("zlib", f"lib{n}.so", tuple(f"lib{m}.so" for m in range(300))) for n in range(300)}
    image = firmware(files)
    (only,) = with_uses(image, components(image), [service("x", "/lib/lib0.so")], ())
    assert len(only.used_by) == 64
