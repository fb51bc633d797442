"""Logins in factory settings, secrets of services, passwords computed from addresses: what counts, and what does not."""

import base64
import hashlib
import random
import sqlite3
import time

import pytest
from msgspec import structs
from support.trees import Link, firmware_of

from fwcheck.analysers.stored_logins import analyse
from fwcheck.device.accounts import accounts
from fwcheck.device.firmware import Firmware
from fwcheck.model import Device, Service

ROOT = {
    "/bin/busybox": b"\x7fELF",
    "/bin/sh": Link("busybox"),
    "/sbin/init": Link("/bin/busybox"),
    "/etc/inittab": "::sysinit:/etc/rcS\n",
}
WEB = Service(name="boa", program="/bin/boa", enabled="yes", protocol="http")


def judged(files, *services):
    firmware = firmware_of({**ROOT, **files})
    return list(analyse(firmware, Device(accounts=accounts(firmware), services=services)))


ZTE = """<DB>
<Tbl name="DevAuthInfo" RowCount="1">
<Row No="0">
<DM name="User" val="admin"/>
<DM name="Pass" val="Web@0063"/>
<DM name="Level" val="1"/>
</Row>
</Tbl>
</DB>
"""
HUAWEI = """<X_HW_WebUserInfo NumberOfInstances="1">
<X_HW_WebUserInfoInstance InstanceID="1" UserName="root" Password="adminHW" UserLevel="1" Enable="1"/>
</X_HW_WebUserInfo>
"""
TP_LINK = """<DslCpeConfig>
<InternetGatewayDevice>
<X_TPLINK_UserCfg>
<AdminName val=admin />
<AdminPwd val=admin />
</X_TPLINK_UserCfg>
</InternetGatewayDevice>
</DslCpeConfig>
"""
BROADCOM = """<DslCpeConfig>
<X_BROADCOM_COM_LoginCfg>
<AdminUserName>admin</AdminUserName>
<AdminPassword>YWRtaW4A</AdminPassword>
</X_BROADCOM_COM_LoginCfg>
</DslCpeConfig>
"""
TRENDCHIP = """<ROMFILE>
<Account>
<Entry0 username="admin" web_passwd="admin" console_passwd="admin"/>
</Account>
</ROMFILE>
"""
UCI = "config weblogin 'weblogin'\n\toption username 'admin'\n\toption password 'YWRtaW4='\n"
FORMS = {
    "nvram defaults": ("/etc/nvram.default", "http_username=admin\nhttp_passwd=admin\nlan_ipaddr=192.168.1.1\n"),
    "ralink defaults": ("/etc_ro/Wireless/RT2860AP/RT2860_default_vlan", "Default\nWebInit=1\nLogin=admin\nPassword=admin\n"),
    "uci of a vendor": ("/etc/config/system", UCI),
    "ini of a camera": ("/etc/default/ipcam.ini", "[user0]\nusername = admin\npassword = 123456\nlevel=1\n"),
    "zte": ("/etc/db_default_cfg.xml", ZTE),
    "huawei": ("/etc/wap/hw_ctree.xml", HUAWEI),
    "tp-link": ("/etc/default_config.xml", TP_LINK),
    "broadcom": ("/etc/default.cfg", BROADCOM),
    "trendchip": ("/userfs/romfile.cfg", TRENDCHIP),
    "json": ("/etc/default_users.json", '{"Users": [{"Name": "admin", "Level": 3, "Password": "123456"}]}\n'),
    "colon": ("/usr/etc/factory.conf", "admin_user_name: admin\nadmin_user_pwd: 1234\n"),
    "realtek": ("/etc/config_default.txt", "SUPER_NAME=super\nSUPER_PASSWORD=super\nUSER_NAME=admin\nUSER_PASSWORD=system\n"),
}
OF_A_PROVIDER = '<Tbl name="PPPoEInfo"><Row No="0"><DM name="User" val="admin"/><DM name="Pass" val="admin"/></Row></Tbl>\n'


@pytest.mark.parametrize(("path", "text"), FORMS.values(), ids=FORMS)
def test_a_fixed_login_of_the_factory_settings_is_a_violation_where_a_server_takes_it(path, text):
    found = [each for each in judged({path: text}, WEB) if each.rule == "ACC-015"]
    assert {(each.verdict, each.severity, each.confidence) for each in found} == {("violation", "critical", "firm")}
    assert {each.location.path for each in found} == {path}
    assert all(each.verdict == "concern" for each in judged({path: text}))  # nothing listens


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/nvram.default", "pppoe_username=user\npppoe_passwd=pass1234\nwl0_wpa_psk=12345678\nddns_passwd=secret99\n"),
        ("/etc/nvram.default", "http_username=\nhttp_passwd=$(nvram get x)\n"),
        ("/etc/nvram.default", "http_username=admin\nhttp_passwd=********\n"),
        ("/etc/config/uhttpd", "config httpauth x\n\toption username 'root'\n\toption password 'plaintext_or_md5_or_$p$user'\n"),
        ("/etc/config/ddns", "config service a\n\toption username 'admin'\n\toption password 'mypassword'\n"),
        ("/etc/config/network", "config interface wan\n\toption username 'admin'\n\toption password '123456'\n"),
        ("/etc/ssl/openssl.cnf", "[ req ]\ninput_password = secret\noutput_password = secret\nchallengePassword = A challenge\n"),
        ("/etc/wpa2/hostapd.eap_user", '"user" MD5 "password"\n'),
        ("/www/lang/en.json", '{"login_username": "User name", "login_password": "Password"}\n'),
        ("/usr/share/i18n/en.json", '{"login_user": "admin", "login_password": "Kennwort"}\n'),
        ("/etc/nsswitch.conf", "passwd: files\nshadow: files\n"),
        ("/usr/share/doc/app/example.conf", "admin_user=admin\nadmin_password=admin\n"),
        ("/etc/login.defs", "PASS_MAX_DAYS 99999\nPASS_MIN_LEN 5\n"),
        ("/etc/config/app.sample", "admin_user=admin\nadmin_password=admin\n"),
        ("/etc/tr069_def_cfg", "ACS_USER:hgw\nACS_PWD:hgw\n"),
        ("/etc/mail.conf", "smtp_user=admin\nsmtp_password=123456\n"),
        ("/etc/db.xml", OF_A_PROVIDER),
        ("/etc/app.conf", "admin_password_min_length=8\nadmin_password_enable=1\n"),
        ("/etc/strings.xml", '<string name="admin_password">Administrator</string>\n'),
    ],
)
def test_other_peoples_passwords_placeholders_and_texts_are_no_login_of_the_device(path, text):
    assert [each.title for each in judged({path: text}, WEB)] == []


# --------------------------------------------------------------------------- databases


def database(*statements):
    connection = sqlite3.connect(":memory:")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    return connection.serialize()


def digest(name, text):
    return hashlib.new(name, text.encode()).hexdigest()


DATABASES = {
    "plain": (
        "CREATE TABLE users(id INTEGER PRIMARY KEY, username TEXT, password TEXT, role TEXT)",
        "INSERT INTO users VALUES(1, 'admin', 'admin', 'administrator')",
    ),
    "digest": (
        "CREATE TABLE tbl_user(user TEXT, passwd TEXT, level INT)",
        f"INSERT INTO tbl_user VALUES('admin', '{digest('md5', '123456')}', 0)",
    ),
    "salt beside it": (
        "CREATE TABLE account(login TEXT, password_hash TEXT, salt TEXT)",
        f"INSERT INTO account VALUES('operator', '{digest('sha256', 'pepper' + '123456')}', 'pepper')",
    ),
    "salt behind it, as bytes": (
        "CREATE TABLE admins(name TEXT, pwd BLOB, salt BLOB)",
        f"INSERT INTO admins VALUES('root', x'{digest('sha1', 'admin~~~~~~~~')}', x'{b'~~~~~~~~'.hex()}')",
    ),
    "django": (
        "CREATE TABLE auth_user(id INTEGER, password TEXT, is_superuser BOOL, username TEXT, last_name TEXT, is_active BOOL)",
        "INSERT INTO auth_user VALUES(1, 'pbkdf2_sha256$1000$abc$"
        + base64.b64encode(hashlib.pbkdf2_hmac("sha256", b"admin", b"abc", 1000)).decode()
        + "', 1, 'admin', '', 1)",
    ),
    "settings": (
        "CREATE TABLE config(name TEXT PRIMARY KEY, value TEXT)",
        "INSERT INTO config VALUES('web_username', 'admin'), ('web_password', '1234')",
    ),
}


@pytest.mark.parametrize("statements", DATABASES.values(), ids=DATABASES)
def test_a_login_of_a_database_is_found_and_opened(statements):
    (found,) = judged({"/opt/app/data.db": database(*statements)}, WEB)
    assert (found.rule, found.verdict, found.severity, found.location.path) == (
        "ACC-015",
        "violation",
        "critical",
        "/opt/app/data.db",
    )
    assert "row 1" in found.evidence or "row 2" in found.evidence
    assert "******" in found.evidence
    assert not any(word in found.evidence for word in ("1234", "=admin"))


def test_hashes_that_do_not_open_are_no_plain_passwords():
    raw = database("CREATE TABLE users(name, password)", "INSERT INTO users VALUES('admin', 'Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFi')")
    (found,) = judged({"/data/app.sqlite": raw}, WEB)
    assert (found.verdict, found.severity) == ("concern", "medium")
    assert "hash" in found.title


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE users(name, password)",),
        ("CREATE TABLE users(name, password, enabled)", "INSERT INTO users VALUES('admin', 'admin', 0)"),
        ("CREATE TABLE users(name, password)", "INSERT INTO users VALUES('admin', '!')"),
        ("CREATE TABLE users(name, password)", "INSERT INTO users VALUES('', 'admin')"),
        ("CREATE TABLE wifi_user(name, password)", "INSERT INTO wifi_user VALUES('admin', 'admin')"),
        ("CREATE TABLE song(name, hash)", "INSERT INTO song VALUES('admin', 'd41d8cd98f00b204e9800998ecf8427e')"),
        ("CREATE TABLE config(name, value)", "INSERT INTO config VALUES('smtp_user', 'admin'), ('smtp_password', '1234')"),
    ],
)
def test_no_login_of_a_database(statements):
    assert [each.title for each in judged({"/opt/app/data.db": database(*statements)}, WEB)] == []


def test_a_database_that_belongs_to_a_sample_is_left_out():
    raw = database("CREATE TABLE users(name, password)", "INSERT INTO users VALUES('admin', 'admin')")
    assert judged({"/usr/share/doc/examples/users.db": raw}, WEB) == []


def test_the_same_login_in_many_files_is_told_once():
    files = {f"/etc_ro/RT2860_default_{name}": "Login=admin\nPassword=admin\n" for name in ("vlan", "novlan", "ap")}
    (finding,) = judged(files, WEB)
    assert len(finding.witnesses) == 2
    assert finding.evidence == "Password=****** (admin)"


def test_a_long_password_of_its_own_is_a_violation_too_but_no_known_one():
    (finding,) = judged({"/etc/nvram.default": "http_username=admin\nhttp_passwd=Tr4verse-Gl0be\n"}, WEB)
    assert (finding.verdict, finding.severity) == ("violation", "high")
    assert "Tr4verse" not in str(finding)


def test_a_digest_of_a_known_word_is_opened_and_of_an_unknown_one_is_a_concern():
    known = f"http_username=admin\nhttp_passwd={hashlib.md5(b'admin').hexdigest()}\n"
    (finding,) = judged({"/etc/nvram.default": known}, WEB)
    assert (finding.verdict, finding.severity) == ("violation", "critical")
    unknown = f"http_username=admin\nhttp_passwd={hashlib.md5(b'Tr4verse-Gl0be').hexdigest()}\n"
    assert judged({"/etc/nvram.default": unknown}, WEB)[0].verdict == "concern"


def test_an_empty_password_of_a_known_user_is_a_tentative_concern():
    (finding,) = judged({"/etc/nvram.default": "http_username=admin\nhttp_passwd=\n"}, WEB)
    assert (finding.rule, finding.verdict, finding.confidence) == ("ACC-016", "concern", "tentative")


# --------------------------------------------------------------------------- accounts of servers


def test_the_accounts_file_of_a_recorder_is_read_and_opened():
    text = '{ "Groups": [{"Name": "admin"}], "Users": [\n{ "Group": "admin", "Name": "admin", "Password": "6QNMIQGe" },\n'
    text += '{ "Group": "user", "Name": "default", "Password": "OxhlwSG8" }\n] }\n'
    firmware = firmware_of({**ROOT, "/mnt/mtd/Config/Account1": text})
    found = {each.name: each for each in accounts(firmware)}
    assert (found["admin"].plain, found["admin"].scheme) == ("admin", "other")
    assert found["default"].cracked
    assert [each.rule for each in analyse(firmware, Device(accounts=accounts(firmware)))] == []


def test_password_files_that_a_servers_configuration_names_are_read():
    files = {
        "/etc/lighttpd/lighttpd.conf": 'auth.backend = "plain"\nauth.backend.plain.userfile = "/etc/lighttpd/users"\n',
        "/etc/lighttpd/users": "admin:letmein9\n# comment: x\n",
        "/etc/nginx/nginx.conf": "http {\n  auth_basic_user_file /etc/nginx/webusers;\n}\n",
        "/etc/nginx/webusers": "web:$apr1$KYxZWbxb$guzj/VZQE6aXCn.VByH321\n",
        "/etc/mosquitto/mosquitto.conf": "password_file /etc/mosquitto/pw\n",
        "/etc/mosquitto/pw": "sensor:$7$101$dHdlbHZlIGJ5dGVz$" + "A" * 86 + "==\n",
        "/etc/web/auth.txt": "role name=x abilities=y\nuser name=admin password=81869fe7d9ac89bf39f48e14c8dd8ee1 roles=x\n",
    }
    found = {each.name: each for each in accounts(firmware_of({**ROOT, **files})) if each.file != "/etc/web/auth.txt"}
    assert {name: (each.plain, each.cracked) for name, each in found.items()} == {
        "admin": ("letmein9", True),
        "web": ("vizxv", True),
        "sensor": ("", False),
    }
    assert "letmein9" not in str([each.evidence for each in found.values()])


# --------------------------------------------------------------------------- computed passwords


@pytest.mark.parametrize(
    "lines",
    [
        ("MAC=$(cat /sys/class/net/eth0/address)", "PW=$(echo $MAC | md5sum | cut -c1-8)", 'echo "root:$PW" | chpasswd'),
        ("mac=`ifconfig br0 | grep HWaddr | awk '{print $5}'`", "key=${mac//:/}", "uci set wireless.@wifi-iface[0].key=$key"),
        ("m=$(nvram get et0macaddr)", 'nvram set http_passwd="${m}"'),
        ("(echo $(cat /sys/class/net/eth0/address | tr -d :); sleep 1) | passwd root",),
    ],
)
def test_a_password_made_of_the_mac_address_is_a_violation(lines):
    (finding,) = judged({"/etc/init.d/S20pw": "\n".join(("#!/bin/sh", *lines, ""))})
    assert (finding.rule, finding.verdict, finding.location.line) == ("ACC-011", "violation", len(lines) + 1)


def test_a_password_made_of_the_serial_number_is_a_concern():
    (finding,) = judged({"/etc/init.d/S20pw": '#!/bin/sh\nsn=$(fw_printenv -n serialno)\necho "admin:$sn" | chpasswd\n'})
    assert (finding.rule, finding.verdict) == ("ACC-011", "concern")


@pytest.mark.parametrize(
    "lines",
    [
        (
            "mac=$(cat /sys/class/net/eth0/address)",
            "uci set wireless.default.ssid=Router-$mac",
            "uci set system.@system[0].hostname=$mac",
        ),
        ("pw=$(head -c 6 /dev/urandom | base64)", "mac=$(cat /sys/class/net/eth0/address)", 'echo "root:$pw" | chpasswd'),
        ("pw=$(cat /sys/class/net/eth0/address)", "pw=$(cat /factory/password)", 'echo "root:$pw" | chpasswd'),
        ("# pw=$(cat /sys/class/net/eth0/address)", 'echo "root:$pw" | chpasswd'),
        (
            "mac=$(cat /sys/class/net/eth0/address)",
            "pw=$(echo $mac $(cat /dev/urandom | head -c 9) | md5sum)",
            'echo "a:$pw" | chpasswd',
        ),
    ],
)
def test_names_random_values_and_values_from_elsewhere_are_no_computed_passwords(lines):
    assert judged({"/etc/init.d/S20pw": "\n".join(("#!/bin/sh", *lines, ""))}) == []


# --------------------------------------------------------------------------- services, boot loader


@pytest.mark.parametrize(
    ("path", "text", "what"),
    [
        ("/etc/ppp/chap-secrets", "# client server secret ip\nvpnuser * S3kret99 *\n", "PPP secret of vpnuser"),
        ("/etc/ipsec.secrets", '%any : PSK "S3kret99"\n', "IPsec key for %any"),
        ("/etc/racoon/psk.txt", "10.0.0.1 S3kret99\n", "IPsec key for 10.0.0.1"),
        ("/etc/snmp/snmpd.conf", "createUser monitor SHA S3kret99 AES\n", "SNMPv3 password of monitor"),
        ("/etc/redis.conf", "requirepass S3kret99\n", "Redis password"),
    ],
)
def test_secrets_of_services_are_told_masked(path, text, what):
    (finding,) = judged({path: text})
    assert finding.rule == "ACC-017"
    assert what in finding.title
    assert "S3kret99" not in str(finding)
    assert finding.verdict == "info"  # no such service starts


def test_a_secret_of_a_running_service_is_a_concern():
    snmpd = Service(name="snmpd", program="/usr/sbin/snmpd", enabled="yes", protocol="snmp")
    (finding,) = judged({"/etc/snmp/snmpd.conf": "createUser monitor SHA S3kret99 AES\n"}, snmpd)
    assert (finding.verdict, finding.confidence) == ("concern", "firm")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/ppp/chap-secrets", "#USERNAME  PROVIDER  PASSWORD  IPADDRESS\n"),
        ("/etc/ppp/pap-secrets", "# *\tpassword\n"),
        ("/etc/ipsec.secrets", ": RSA key.pem\n"),
        ("/etc/snmp/snmpd.conf", '#createUser authOnlyUser MD5 "remember to change this password"\n'),
        ("/etc/redis.conf", "# requirepass foobared\n"),
    ],
)
def test_comments_and_samples_are_no_secrets(path, text):
    assert judged({path: text}) == []


def test_a_boot_prompt_with_a_known_word_is_a_concern():
    firmware = firmware_of(ROOT)
    environment = structs.replace(firmware.nodes[0], detail={"bootstopkeysha256": hashlib.sha256(b"hi3518").hexdigest()})
    spoilt = Firmware(firmware.image, (environment, *firmware.nodes[1:]), {}, firmware.coverage)
    (finding,) = analyse(spoilt, Device())
    assert (finding.rule, finding.verdict, finding.confidence) == ("ACC-018", "concern", "firm")
    assert "hi3518" not in str(finding)


# --------------------------------------------------------------------------- hostile


PIECES = (
    *(
        "<a b='",
        "<a>",
        '<DM name="Pass" val="',
        "{",
        '{"password":',
        '"password":"x",',
        "password=",
        "[",
        "pass",
        "\n",
        "aA",
        "a:",
    ),
    *("admin_password=x\n", "<a a=a a=a a=a", "config a\n\toption password x\n", "_pass_pass"),
)


@pytest.mark.fuzz
@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("path", ["/etc/default.xml", "/etc/default.json", "/etc/config/a", "/etc/default.cfg"])
def test_settings_of_any_shape_take_no_time(path, piece):
    begun = time.process_time()
    judged({path: piece * (250_000 // len(piece)) + " password"}, WEB)
    assert time.process_time() - begun < 5


@pytest.mark.fuzz
def test_mutated_settings_never_raise():
    random.seed(3)
    for path, text in FORMS.values():
        for _ in range(20):
            raw = bytearray(text.encode())
            for _ in range(random.randint(1, 12)):
                raw[random.randrange(len(raw))] = random.choice(b"<>\"'{}[]=: \n\0\xff\\")
            judged({path: bytes(raw)}, WEB)
