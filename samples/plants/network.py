"""Planted weaknesses: services on the network."""

from __future__ import annotations

from contents import text

from plants.plant import SNMPD, TELNET, Plant, daemon, started

NETWORK = (
    Plant("network-telnet", (("ACC-009", "/etc/init.d/rcS"), ("NET-001", "/etc/init.d/rcS")), {**TELNET, **started("telnetd")}),
    Plant(
        "network-tftp",
        (("NET-002", "/etc/init.d/rcS"),),
        {"/usr/sbin/in.tftpd": daemon("tftp-hpa 5.2"), **started("/usr/sbin/in.tftpd -l -c -s /tmp")},
    ),
    Plant(
        "network-gdbserver",
        (("NET-003", "/etc/init.d/rcS"),),
        {"/usr/bin/gdbserver": daemon("GNU gdbserver"), **started("/usr/bin/gdbserver --multi :2345 &")},
    ),
    Plant(
        "network-snmp-community",
        (("NET-004", "/etc/snmp/snmpd.conf"),),
        {
            "/etc/snmp/snmpd.conf": text(0o600, "rwcommunity private"),
            **SNMPD,
            **started("/usr/sbin/snmpd -C -c /etc/snmp/snmpd.conf"),
        },
    ),
    Plant(
        "network-upnp",
        (("NET-005", "/etc/init.d/rcS"),),
        {"/usr/sbin/miniupnpd": daemon("miniupnpd 2.3.7", "AddPortMapping"), **started("/usr/sbin/miniupnpd -i eth1 -a br0")},
    ),
    Plant(
        "network-tr069",
        (("NET-006", "/etc/init.d/rcS"),),
        {"/usr/sbin/cwmpd": daemon("urn:dslforum-org:cwmp-1-2"), **started("/usr/sbin/cwmpd &")},
    ),
    Plant(
        "network-remote-management",
        (("NET-007", "/etc/nvram_default.conf"),),
        {"/etc/nvram_default.conf": text(0o644, "lan_ipaddr=192.168.1.1", "remote_management=1")},
    ),
    Plant(
        "network-open-firewall",
        (("NET-008", "/etc/config/firewall"), ("NET-011", "/etc/init.d/rcS")),
        {
            "/etc/config/firewall": text(
                0o644,
                "config defaults",
                "\toption input 'REJECT'",
                "\toption forward 'REJECT'",
                "config zone",
                "\toption name 'wan'",
                "\tlist network 'wan'",
                "\toption input 'ACCEPT'",
                "\toption forward 'REJECT'",
            )
        },
    ),
    Plant(
        "network-plain-mqtt",
        (("NET-009", "/etc/cloud.conf"),),
        {"/etc/cloud.conf": text(0o644, "broker = mqtt://iot.sample-cloud.net:1883")},
    ),
    Plant(
        "network-database-without-password",
        (("NET-012", "/etc/redis.conf"),),
        {
            "/etc/redis.conf": text(0o600, "bind 0.0.0.0", "protected-mode no", "port 6379"),
            "/usr/bin/redis-server": daemon("Redis server v=7.2.5"),
            **started("/usr/bin/redis-server /etc/redis.conf &"),
        },
    ),
    Plant(
        "network-open-share",
        (("NET-013", "/etc/samba/smb.conf"),),
        {
            "/etc/samba/smb.conf": text(
                0o644,
                "[global]",
                "server min protocol = SMB3",
                "map to guest = Bad User",
                "[disk]",
                "path = /overlay/disk",
                "guest ok = yes",
                "read only = no",
            ),
            "/usr/sbin/smbd": daemon("Samba 4.21.1"),
            **started("/usr/sbin/smbd -D"),
        },
    ),
    Plant(
        "network-withdrawn-protocol",
        (("ACC-009", "/etc/init.d/rcS"), ("NET-014", "/etc/samba/smb.conf")),
        {
            "/etc/samba/smb.conf": text(
                0o644, "[global]", "server min protocol = NT1", "[disk]", "path = /overlay/disk", "valid users = owner"
            ),
            "/usr/sbin/smbd": daemon("Samba 4.21.1"),
            **started("/usr/sbin/smbd -D"),
        },
    ),
    Plant(
        "wireless-open",
        (("NET-015", "/etc/hostapd.conf"),),
        {
            "/etc/hostapd.conf": text(0o600, "interface=wlan0", "ssid=SampleRouter", "auth_algs=1"),
            "/usr/sbin/hostapd": daemon("hostapd v2.11", imports=("sendto", "recvfrom")),
            **started("/usr/sbin/hostapd -B /etc/hostapd.conf"),
        },
    ),
)
