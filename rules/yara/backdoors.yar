// Known backdoors: strings and bytes that stand for one published case each.

rule backdoor_dlink_xmlset
{
    meta:
        id = "backdoor-dlink-xmlset"
        description = "User-Agent that opens the administration pages of D-Link and Planex routers without a password"
        severity = "critical"
        reference = "CVE-2013-6026"
    strings:
        $agent = "xmlset_roodkcableoj28840ybtide"
    condition:
        $agent
}

rule backdoor_alphanetworks_telnet
{
    meta:
        id = "backdoor-alphanetworks-telnet"
        description = "telnetd started with the fixed user Alphanetworks and the image signature as its password"
        severity = "critical"
        reference = "CVE-2013-7471; Alpha Networks telnet account in D-Link routers"
    strings:
        $script = /telnetd[^\n]{0,80}-u[ \t]{1,4}"?Alphanetworks:/
    condition:
        $script
}

rule backdoor_iptime_debug
{
    meta:
        id = "backdoor-iptime-debug"
        description = "hidden parameter that unlocks the command page of ipTIME routers"
        severity = "critical"
        reference = "ipTIME remote command page, published 2015"
    strings:
        $parameter = "aaksjdkfj"
    condition:
        $parameter
}

rule backdoor_netcore_igdmptd
{
    meta:
        id = "backdoor-netcore-igdmptd"
        description = "service on UDP 53413 of Netcore and Netis routers with a fixed password"
        severity = "critical"
        reference = "Netis UDP 53413 backdoor, published 2014"
    strings:
        $banner = "IGD MPT Interface daemon"
    condition:
        $banner
}

rule backdoor_tenda_mfg
{
    meta:
        id = "backdoor-tenda-mfg"
        description = "UDP service that runs any command for a magic word (Tenda and Ralink reference firmware)"
        severity = "critical"
        reference = "Tenda MfgThread, UDP 7329, published 2013"
    strings:
        $tenda = "w302r_mfg"
        $ralink = "rlink_mfg"
    condition:
        any of them
}

rule backdoor_zyxel_zyfwp
{
    meta:
        id = "backdoor-zyxel-zyfwp"
        description = "hard-coded account zyfwp of Zyxel firewalls"
        severity = "critical"
        reference = "CVE-2020-29583"
    strings:
        $password = "PrOw!aN_fXp"
    condition:
        $password
}

rule backdoor_totolink_skt
{
    meta:
        id = "backdoor-totolink-skt"
        description = "program that opens the administration page to the WAN for a magic word"
        severity = "critical"
        reference = "CVE-2015-9550"
    strings:
        $open = "hel,xasf"
        $close = "oki,xasf"
    condition:
        any of them
}

rule backdoor_xiongmai_opentelnet
{
    meta:
        id = "backdoor-xiongmai-opentelnet"
        description = "recorder service on TCP 9530 that starts telnetd for whoever knows the shared key"
        severity = "critical"
        reference = "HiSilicon and Xiongmai OpenTelnet:OpenOnce, published 2020"
    strings:
        $command = "OpenTelnet:OpenOnce"
    condition:
        $command
}

rule backdoor_sercomm_32764
{
    meta:
        id = "backdoor-sercomm-32764"
        description = "configuration service on TCP 32764 without authentication"
        severity = "critical"
        reference = "CVE-2014-0659"
    strings:
        $program = "scfgmgr"
        $magic1 = "ScMM"
        $magic2 = "MMcS"
    condition:
        uint32(0) == 0x464c457f and $program and any of ($magic*)
}

rule backdoor_juniper_screenos
{
    meta:
        id = "backdoor-juniper-screenos"
        description = "master password of ScreenOS, disguised as a format string"
        severity = "critical"
        reference = "CVE-2015-7755"
    strings:
        $password = "<<< %s(un='%s') = %u"
    condition:
        $password
}

rule backdoor_fortios_ssh
{
    meta:
        id = "backdoor-fortios-ssh"
        description = "constant from which the password of a hidden FortiOS account is made"
        severity = "critical"
        reference = "CVE-2016-1909"
    strings:
        $constant = "FGTAbc11*xy+Qqz27"
    condition:
        $constant
}

rule backdoor_mydlink_nas
{
    meta:
        id = "backdoor-mydlink-nas"
        description = "hard-coded account of nas_sharing.cgi (WD My Cloud and D-Link NAS)"
        severity = "critical"
        reference = "CVE-2017-17560; CVE-2024-3272"
    strings:
        $user = "mydlinkBRionyg"
    condition:
        $user
}

rule backdoor_arris_daily_password
{
    meta:
        id = "backdoor-arris-daily-password"
        description = "default seed of the technician's password of the day in ARRIS modems"
        severity = "high"
        reference = "ARRIS password of the day, published 2009"
    strings:
        $seed = "MPSJKMDHAI"
    condition:
        $seed
}

rule backdoor_vsftpd_234
{
    meta:
        id = "backdoor-vsftpd-234"
        description = "vsftpd 2.3.4 with the added shell on port 6200"
        severity = "critical"
        reference = "CVE-2011-2523"
    strings:
        $version = "vsFTPd 2.3.4"
        $function = "vsf_sysutil_extra"
    condition:
        $version and $function
}

rule backdoor_proftpd_acidbitchez
{
    meta:
        id = "backdoor-proftpd-133c"
        description = "ProFTPD 1.3.3c from the compromised server: HELP with a magic word gives a root shell"
        severity = "critical"
        reference = "CVE-2010-20103"
    strings:
        $word = "ACIDBITCHEZ"
    condition:
        $word
}

rule backdoor_xz_liblzma
{
    meta:
        id = "backdoor-xz-liblzma"
        description = "entry function of the code hidden in liblzma 5.6.0 and 5.6.1"
        severity = "critical"
        reference = "CVE-2024-3094"
    strings:
        $entry = { f3 0f 1e fa 55 48 89 f5 4c 89 ce 53 89 fb 81 e7 00 00 00 80 48 83 ec 28 48 89 54 24 18 48 89 4c 24 10 }
    condition:
        $entry
}

rule malware_mirai
{
    meta:
        id = "malware-mirai"
        description = "bot of the Mirai family: firmware taken from an infected device"
        severity = "critical"
        reference = "Mirai source code, published 2016"
    strings:
        $name = "/bin/busybox MIRAI"
        $console = "listening tun0"
        $applet = "MIRAI: applet not found"
    condition:
        any of them
}
