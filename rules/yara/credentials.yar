// Credentials that are in every attacker's list: literal default passwords and their hashes.

rule credentials_botnet_password
{
    meta:
        id = "credentials-known-password"
        description = "fixed password of a camera or recorder family, tried by every botnet"
        severity = "high"
        reference = "default password list of the Mirai source code, 2016"
        secret = "true"
    strings:
        $p01 = "xc3511" fullword
        $p02 = "xmhdipc" fullword
        $p03 = "7ujMko0vizxv" fullword
        $p04 = "7ujMko0admin" fullword
        $p05 = "juantech" fullword
        $p06 = "hslwificam" fullword
        $p07 = "OxhlwSG8" fullword
        $p08 = "S2fGqNFs" fullword
        $p09 = "tlJwpbo6" fullword
        $p10 = "taZz@23495859" fullword
        $p11 = "LSiuY7pOmZG2s" fullword
    condition:
        any of them
}

rule credentials_known_hash
{
    meta:
        id = "credentials-known-hash"
        description = "password hash whose password is published (xc3511, xmhdipc, helpme, runtop10)"
        severity = "critical"
        reference = "each hash verifies against the password named in the description"
        secret = "true"
    strings:
        $h1 = "absxcfbgXtb3o"
        $h2 = "$1$RYIwEiRA$d5iRRVQ5ZeRTrJwGjRy.B0"
        $h3 = "ab8nBoH3mb8.g"
        $h4 = "7wtxBdUGBnuoY"
    condition:
        any of them
}

rule credentials_hikvision_magic
{
    meta:
        id = "credentials-hikvision-magic"
        description = "request parameter that stands for admin and a fixed password in Hikvision cameras"
        severity = "critical"
        reference = "CVE-2017-7921"
    strings:
        $parameter = "YWRtaW46MTEK"
    condition:
        $parameter
}

rule credentials_ssh_empty_passwords
{
    meta:
        id = "credentials-ssh-empty-passwords"
        description = "SSH server set to accept accounts without a password"
        severity = "high"
        reference = "sshd_config(5), PermitEmptyPasswords"
    strings:
        $option = /(^|\n)[ \t]*PermitEmptyPasswords[ \t]+yes/ nocase
    condition:
        $option
}

rule credentials_ftp_anonymous_upload
{
    meta:
        id = "credentials-ftp-anonymous-upload"
        description = "vsftpd set to take files from anyone"
        severity = "high"
        reference = "vsftpd.conf(5), anon_upload_enable"
    strings:
        $anonymous = /(^|\n)[ \t]*anonymous_enable=YES/ nocase
        $upload = /(^|\n)[ \t]*anon_(upload|mkdir_write|other_write)_enable=YES/ nocase
    condition:
        $anonymous and $upload
}

rule credentials_mqtt_anonymous
{
    meta:
        id = "credentials-mqtt-anonymous"
        description = "MQTT broker set to accept clients without credentials on a network listener"
        severity = "medium"
        reference = "mosquitto.conf(5), allow_anonymous"
    strings:
        $anonymous = /(^|\n)[ \t]*allow_anonymous[ \t]+true/
        $listener = /(^|\n)[ \t]*(listener|port)[ \t]+[0-9]{1,5}/
    condition:
        $anonymous and $listener
}
