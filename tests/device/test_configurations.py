"""What the readers of daemons' configurations say: addresses, TLS, authentication, settings worth knowing; hostile files."""

from __future__ import annotations

import time

import pytest
from support.trees import firmware_of

from fwcheck.device._disk import Disk
from fwcheck.device.configurations import registry
from fwcheck.device.configurations.reading import Start
from fwcheck.device.daemons import daemons
from fwcheck.device.services import services
from fwcheck.model import Service

ELF = b"\x7fELF" + bytes(60)


def service_of(command: str, files: dict[str, bytes | str] | None = None) -> Service:
    name = command.split(maxsplit=1)[0].rsplit("/", 1)[-1]
    tree: dict[str, bytes | str] = {
        "/sbin/init": ELF, "/etc/inittab": "::sysinit:/etc/rcS\n", "/etc/rcS": f"#!/bin/sh\n{command}\n", "/lib/x": "",
        f"/usr/sbin/{name}": ELF,
    }  # fmt: skip
    found = [each for each in services(firmware_of(tree | (files or {}))) if each.name == name]
    assert len(found) == 1, found
    return found[0]


def topics(service: Service) -> list[tuple[str, int | None]]:
    return [(each.topic, each.evidence.location.line) for each in service.remarks]


_SSHD = "/etc/ssh/sshd_config"
_NGINX = "/etc/nginx/nginx.conf"
_LIGHTTPD = "/etc/lighttpd/lighttpd.conf"
_MOSQUITTO = "/etc/mosquitto/mosquitto.conf"


@pytest.mark.parametrize(
    ("command", "files", "authentication", "encryption"),
    [
        ("dropbear", {}, "password", "ssh"),
        ("dropbear -s -g", {}, "key", "ssh"),
        ("dropbear -R -F -Es", {}, "key", "ssh"),
        ("dropbear -r /etc/keys", {}, "password", "ssh"),
        ("sshd", {_SSHD: "PasswordAuthentication no\n"}, "key", "ssh"),
        ("sshd", {_SSHD: "PasswordAuthentication no\nUsePAM yes\n"}, "password", "ssh"),
        ("sshd", {_SSHD: "PasswordAuthentication no\nUsePAM yes\nKbdInteractiveAuthentication no\n"}, "key", "ssh"),
        ("sshd", {_SSHD: "Match User x\nPasswordAuthentication no\n"}, "password", "ssh"),
        ("sshd", {_SSHD: "PasswordAuthentication yes\nPasswordAuthentication no\n"}, "password", "ssh"),
        (
            "sshd",
            {_SSHD: "Include sshd_config.d/*.conf\n", "/etc/ssh/sshd_config.d/a.conf": "PasswordAuthentication no\n"},
            "key",
            "ssh",
        ),
        ("telnetd -l /bin/sh", {}, "none", "none"),
        ("vsftpd", {"/etc/vsftpd.conf": "anonymous_enable=NO\nlocal_enable=YES\n"}, "password", "none"),
        ("vsftpd", {"/etc/vsftpd.conf": "anonymous_enable=NO\nlocal_enable=YES\nssl_enable=YES\n"}, "password", "tls"),
        ("vsftpd", {"/etc/vsftpd.conf": "local_enable=YES\n"}, "none", "none"),
        ("tftpd", {}, "none", "none"),
        ("lighttpd", {_LIGHTTPD: 'server.port = 80\nauth.require = ( "/" => (\n'}, "password", "none"),
        ("lighttpd", {_LIGHTTPD: 'server.port = 443\nssl.engine = "enable"\n'}, "unknown", "tls"),
        ("lighttpd", {_LIGHTTPD: '$SERVER["socket"] == ":443" {\n ssl.engine = "enable"\n}\n'}, "unknown", "optional"),
        (
            "lighttpd",
            {_LIGHTTPD: 'include "conf.d/*.conf"\n', "/etc/lighttpd/conf.d/a.conf": 'ssl.engine = "enable"\nserver.port = 443\n'},
            "unknown",
            "tls",
        ),
        ("nginx", {_NGINX: "http { server { listen 443 ssl; ssl_verify_client on; } }\n"}, "certificate", "tls"),
        ("nginx", {_NGINX: "http { server { listen 80; location / { auth_basic 'x'; } } }\n"}, "password", "none"),
        (
            "nginx",
            {_NGINX: "http { server { listen 80; return 301 https://$host; }\n server { listen 443 ssl; } }"},
            "unknown",
            "tls",
        ),
        ("nginx", {_NGINX: "http { server { listen 80; }\n server { listen 443 ssl; } }"}, "unknown", "optional"),
        ("apache2", {"/etc/apache2/apache2.conf": "Listen 80\nAuthType Basic\n"}, "password", "none"),
        (
            "apache2",
            {"/etc/apache2/apache2.conf": "Include p.conf\n", "/etc/apache2/p.conf": "Listen 443 https\nSSLEngine on\n"},
            "unknown",
            "tls",
        ),
        ("hiawatha", {"/etc/hiawatha/hiawatha.conf": "Binding {\n Port = 443\n TLScertFile = x\n}\n"}, "unknown", "tls"),
        ("mini_httpd -S -p 443", {}, "unknown", "tls"),
        ("goahead :80 https://:443", {"/etc/route.txt": "route uri=/ auth=form handler=action\n"}, "password", "optional"),
        ("mosquitto", {_MOSQUITTO: "listener 1883\nallow_anonymous true\n"}, "none", "none"),
        ("mosquitto", {_MOSQUITTO: "listener 8883\ncertfile /c\nrequire_certificate true\n"}, "certificate", "tls"),
        ("mosquitto", {_MOSQUITTO: "listener 1883\nlistener 8883\ncertfile /c\npassword_file /p\n"}, "password", "optional"),
        ("mosquitto -c /etc/none.conf", {}, "unknown", "unknown"),
        ("snmpd", {"/etc/snmp/snmpd.conf": "rouser admin\n"}, "password", "unknown"),
        ("smbd", {"/etc/samba/smb.conf": "[global]\nmap to guest = Bad User\n[d]\npath=/d\nguest ok = yes\n"}, "none", "none"),
        ("smbd", {"/etc/samba/smb.conf": "[global]\n[d]\npath=/d\nguest ok = yes\n"}, "password", "none"),
        ("proftpd", {"/etc/proftpd/proftpd.conf": "Port 21\nTLSEngine on\nTLSRequired on\n"}, "password", "tls"),
        ("proftpd", {"/etc/proftpd/proftpd.conf": "<Anonymous ~ftp>\n User ftp\n</Anonymous>\n"}, "none", "none"),
        ("pure-ftpd -E -Y 2", {}, "password", "tls"),
        ("redis-server /r.conf", {"/r.conf": "bind 0.0.0.0\nrequirepass geheim\n"}, "password", "none"),
        ("mysqld", {}, "password", "unknown"),
        ("ttyd -c a:b -S login", {"/bin/login": ELF}, "password", "tls"),
        ("ttyd login", {"/bin/login": ELF}, "password", "none"),
        ("ttyd -p 80 bash", {}, "none", "none"),
        ("shellinaboxd -t", {}, "password", "none"),
        ("v4l2rtspserver -U a:b /dev/video0", {}, "password", "none"),
        ("mediamtx /m.yml", {"/m.yml": "rtspAddress: :8554\nencryption: strict\nreadUser: bob\n"}, "password", "tls"),
        ("openvpn --config /o.conf", {"/o.conf": "server 10.8.0.0 255.255.255.0\nca ca.crt\n"}, "certificate", "tls"),
        ("dockerd -H tcp://0.0.0.0:2375", {}, "none", "none"),
        ("dockerd --tlsverify", {"/etc/docker/daemon.json": '{"hosts": ["tcp://0.0.0.0:2376"]}'}, "certificate", "tls"),
        ("adbd", {"/default.prop": "ro.adb.secure=1\n"}, "key", "none"),
        ("cwmpd", {"/etc/config/easycwmp": "config local\n option port 7547\n option password x\n"}, "password", "unknown"),
    ],
)  # fmt: skip
def test_authentication_and_encryption(command: str, files: dict[str, bytes | str], authentication: str, encryption: str) -> None:
    found = service_of(command, files)
    assert (found.authentication, found.encryption) == (authentication, encryption)


@pytest.mark.parametrize(
    ("command", "files", "expected"),
    [
        ("dropbear -B", {}, [("empty-password", 2)]),
        ("sshd", {_SSHD: "#x\nPermitEmptyPasswords yes\n"}, [("empty-password", 2)]),
        ("sshd", {_SSHD: "PermitEmptyPasswords no\n"}, []),
        ("tftpd -c /srv", {}, [("anonymous-write", 2)]),
        ("tftpd -s /srv", {}, [("anonymous-read", 2)]),
        (
            "vsftpd",
            {"/etc/vsftpd.conf": "anonymous_enable=YES\nwrite_enable=YES\nanon_upload_enable=YES\n"},
            [("anonymous-write", 3)],
        ),
        ("vsftpd", {"/etc/vsftpd.conf": "anonymous_enable=YES\nanon_upload_enable=YES\n"}, [("anonymous-read", 1)]),
        ("bftpd", {"/etc/bftpd.conf": 'global{\n  PORT="21"\n}\nuser ftp {\nANONYMOUS_USER="yes"\n}\n'}, [("anonymous-read", 5)]),
        ("stupid-ftpd", {"/etc/stupid-ftpd.conf": "port=2121\nuser=guest * /mnt 5 A\n"}, [("anonymous-write", 2)]),
        ("stupid-ftpd", {"/etc/stupid-ftpd.conf": "user=guest secret /mnt 5 A\n"}, []),
        (
            "smbd",
            {"/etc/samba/smb.conf": "[global]\nmap to guest = bad user\n[d]\nguest ok = yes\nread only = no\n"},
            [("anonymous-write", 4)],
        ),
        ("smbd", {"/etc/samba/smb.conf": "[global]\nsecurity = share\n[d]\npublic = yes\nwriteable = no\n"},
         [("anonymous-read", 4), ("old-protocol", 2)]),
        ("smbd", {"/etc/samba/smb.conf": "[global]\nserver min protocol = NT1\n"}, [("old-protocol", 2)]),
        ("snmpd", {"/etc/snmp/snmpd.conf": "rocommunity public default\nrwcommunity x 127.0.0.1\n"}, [("community-read", 1)]),
        (
            "snmpd",
            {
                "/etc/snmp/snmpd.conf": 'com2sec rw default secret1\ngroup g v2c rw\naccess g "" any noauth exact all all none\n'
            },
            [("community-write", 1)],
        ),
        ("snmpd -C -c /etc/s.conf", {"/etc/snmp/snmpd.conf": "rocommunity public\n", "/etc/s.conf": "rouser x\n"}, []),
        ("mini_snmpd -c open", {}, [("community-read", 2)]),
        ("miniupnpd", {"/etc/config/upnpd": "config upnpd config\n option secure_mode 0\n"}, [("insecure-mode", 2)]),
        ("miniupnpd", {"/etc/config/upnpd": "config upnpd config\n option secure_mode 1\n"}, []),
        ("mosquitto", {_MOSQUITTO: "listener 1883 127.0.0.1\nallow_anonymous true\n"}, []),
        ("mosquitto", {_MOSQUITTO: "bridge_insecure true\n"}, [("no-peer-check", 1)]),
        (
            "mosquitto",
            {
                _MOSQUITTO: "per_listener_settings true\nlistener 1883\nallow_anonymous false\npassword_file /p\n"
                "listener 1884 127.0.0.1\nallow_anonymous true\n"
            },
            [],
        ),
        (
            "mosquitto",
            {
                _MOSQUITTO: "per_listener_settings true\nlistener 1884 127.0.0.1\nallow_anonymous false\n"
                "listener 1883\nallow_anonymous true\n"
            },
            [("anonymous-write", 5)],
        ),
        ("proftpd", {"/etc/proftpd/proftpd.conf": "Port 21\n<Anonymous ~ftp>\n</Anonymous>\n"}, [("anonymous-read", 2)]),
        ("redis-server /r.conf", {"/r.conf": "bind 0.0.0.0\nprotected-mode no\n"}, [("no-password", 2)]),
        ("redis-server /r.conf", {"/r.conf": "port 6379\n"}, []),
        ("mysqld", {"/etc/my.cnf": "[mysqld]\nskip-grant-tables\n"}, [("no-password", 2)]),
        ("memcached -l 0.0.0.0", {}, [("no-password", 2)]),
        ("memcached -l 127.0.0.1", {}, []),
        (
            "postgres -D /pg",
            {"/pg/postgresql.conf": "listen_addresses = '*'\n", "/pg/pg_hba.conf": "host all all 0.0.0.0/0 trust\n"},
            [("no-password", 1)],
        ),
        ("rsync --daemon", {"/etc/rsyncd.conf": "uid = root\n[data]\npath = /\nread only = no\n"}, [("anonymous-write", 4)]),
        ("rsync --daemon", {"/etc/rsyncd.conf": "[data]\npath = /\nauth users = bob\n"}, []),
        ("rpc.nfsd", {"/etc/exports": "/data *(rw,no_root_squash)\n/x 10.0.0.1(rw)\n"}, [("anonymous-write", 1)]),
        ("socat TCP-LISTEN:99,fork EXEC:/bin/sh", {}, [("shell", 2)]),
        ("nc -l -p 99 -e /bin/sh", {}, [("shell", 2)]),
        ("adbd", {"/default.prop": "persist.adb.tcp.port=5555\n"}, [("network-port", 1)]),
        ("rsyslogd", {"/etc/rsyslog.conf": "*.* @@log.example.net:514\n"}, [("log-forward", 1)]),
        ("openvpn --config /o.conf", {"/o.conf": "server 10.8.0.0 255.255.255.0\ncipher none\n"}, [("weak-cipher", 2)]),
        ("cwmpd", {"/etc/config/easycwmp": "config acs\n option url http://acs.net/\n"}, [("plain-server", 2)]),
        ("dockerd -H tcp://0.0.0.0:2375", {}, [("no-password", 2)]),
        (
            "hostapd /etc/h.conf",
            {"/etc/h.conf": "ssid=x\nwpa=2\nwps_state=2\nap_pin=12345670\n"},
            [("wps", 3), ("wps-pin", 4)],
        ),
        ("hostapd /etc/h.conf", {"/etc/h.conf": "ssid=setup\nchannel=1\n"}, [("open-network", 1)]),
        ("nginx", {_NGINX: "server {\nlisten 443 ssl;\nssl_protocols\n TLSv1 TLSv1.2;\n}"}, [("old-tls", 3)]),
        ("nginx", {_NGINX: "http {\nssl_protocols TLSv1 TLSv1.2;\nserver {\nlisten 80;\n}\n}"}, []),  # no server speaks TLS
        ("apache2", {"/etc/apache2/apache2.conf": "Listen 443\nSSLEngine on\nSSLProtocol all -SSLv3\n"}, []),
        ("apache2", {"/etc/apache2/apache2.conf": "Listen 443\nSSLEngine on\nSSLProtocol TLSv1 TLSv1.2\n"}, [("old-tls", 3)]),
        (
            "uhttpd -p 80",
            {"/usr/share/rpcd/acl.d/x.json": '{"unauthenticated": {\n "write": {"ubus": {"file": ["write"]}}}}'},
            [("unauthenticated-write", 2)],
        ),
        (
            "uhttpd -p 80",
            {"/usr/share/rpcd/acl.d/x.json": '{"unauthenticated": {"read": {"ubus": {"session": ["login"]}}}}'},
            [],
        ),
    ],
)  # fmt: skip
def test_settings_worth_knowing(command: str, files: dict[str, bytes | str], expected: list[tuple[str, int | None]]) -> None:
    assert topics(service_of(command, files)) == expected


def test_the_lines_that_decide_are_named() -> None:
    found = service_of("sshd", {_SSHD: "Port 2022\nPasswordAuthentication no\n"})
    assert found.configuration == (f"{_SSHD}:1", f"{_SSHD}:2")


def test_a_configuration_that_the_boot_writes_counts_and_is_shown_at_the_start_line() -> None:
    script = "echo 'listener 1883' > /tmp/m.conf\necho 'allow_anonymous true' >> /tmp/m.conf\nmosquitto -c /tmp/m.conf"
    tree = {"/etc/rcS": f"#!/bin/sh\n{script}\n", "/usr/sbin/mosquitto": ELF}
    found = service_of("mosquitto", tree)
    assert found.authentication == "none"
    (remark,) = found.remarks
    assert (remark.evidence.location.path, remark.evidence.location.line) == ("/etc/rcS", 4)
    assert "/tmp/m.conf: allow_anonymous true" in remark.evidence.text


def test_every_reader_has_names_that_the_table_of_daemons_knows() -> None:
    assert {name for name in registry.readers() if name not in daemons()} == set()


class _Everywhere(Disk):
    """A disk that gives the same text at every path."""

    def __init__(self, text: str) -> None:
        firmware = firmware_of({"/x": "x"})
        super().__init__(firmware, firmware.filesystems[0])
        self._text = text

    def text(self, path: str) -> str | None:
        return self._text

    def exists(self, path: str) -> bool | None:
        return True

    def glob(self, pattern: str) -> list[str] | None:
        return [pattern, pattern]

    def children(self, path: str) -> list[str] | None:
        return [f"{path}/a.json", f"{path}/b.conf"]


_HOSTILE = {
    "include itself": "include *\nInclude *\nconf-file=*\nconf-dir=/x\ninclude *;\n!includedir /x\n$IncludeConfig *\n" * 60,
    "one long line": "x" * 50_000,
    "blanks": " \t" * 25_000,
    "braces": "{" * 20_000 + "}" * 20_000,
    "quotes": "\"'" * 20_000,
    "open quote": 'server { listen "' + "\\x" * 20_000,
    "ports": "port 99999999999999999999\n"
   "listen -1;\nListen ::::\nlistener [::1\nport=\u0663\nlistenaddress\ncom2sec a\nuser=*\n" * 50,
    "json": "[" * 20_000,
    "words": "a " * 25_000,
    "ciphers": "ssl_ciphers " + "A-" * 20_000 + "\nssl.cipher-list = " + "-NULL-" * 10_000,
    "colons": "agentaddress " + ":1" * 20_000 + "\nlisten " + "[:" * 10_000,
    "brackets": "[" * 10_000 + "\n" + "[a]" * 10_000,
    "nothing": "",
    "no text": "\x00\x01\ufffd" * 1000,
    "keys": "key=value\n" * 5_000,
}  # fmt: skip


@pytest.mark.parametrize("text", _HOSTILE.values(), ids=_HOSTILE)
def test_hostile_files_are_read_in_bounded_time(text: str) -> None:
    disk = _Everywhere(text)
    for name in registry.readers():
        words = ("-f", "/c", "-c", "/c", "-p", "1", "[::", ":", "-", "--", "-o", "=", text[:2000])
        before = time.process_time()
        reading = registry.read(Start(disk, name, words))
        assert all(bound.port is None or 0 < bound.port < 65536 for bound in reading.bounds)
        assert time.process_time() - before < 3, name
