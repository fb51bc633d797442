// Updates and transfers whose origin is not checked.

rule update_http_to_flash
{
    meta:
        id = "update-http-to-flash"
        description = "script that fetches an image over plain HTTP, FTP or TFTP and writes it to flash"
        severity = "high"
        reference = "CWE-494"
    strings:
        $fetch1 = /(wget|curl|uclient-fetch)[^\n]{1,200}http:\/\//
        $fetch2 = /(^|[\s;&|])(tftp|ftpget)[ \t][^\n]{0,80}-[a-z]{0,4}g?/
        $write1 = /(^|[\s;&|])(mtd|mtd_write)[ \t][^\n]{0,60}write/
        $write2 = /(^|[\s;&|])(sysupgrade|flashcp|ubiupdatevol|nandwrite|mtd_debug)[ \t]/
        $write3 = /dd[ \t][^\n]{0,120}of=\/dev\/mtd/
    condition:
        uint16(0) == 0x2123 and any of ($fetch*) and any of ($write*)
}

rule update_forced
{
    meta:
        id = "update-forced"
        description = "script that installs an image or package with its checks switched off"
        severity = "high"
        reference = "OpenWrt sysupgrade -F; opkg --force-signature; swupdate -k; dpkg --force-bad-verify"
    strings:
        $sysupgrade = /(^|[\n;&|]|\bthen|\bdo|\belse)[ \t]*(\/sbin\/)?sysupgrade[ \t]([^\n;|&]{0,60}[ \t])?(-F|--force)\b/
        $opkg = /(^|[\n;&|]|\bthen|\bdo|\belse)[ \t]*(\/bin\/)?opkg[ \t][^\n;|&]{0,120}--(force-signature|force-checksum|no-check-certificate)\b/
        $apt = /apt(-get)?[ \t][^\n;|&]{0,120}--(allow-unauthenticated|force-yes)\b/
        $dpkg = /dpkg[ \t][^\n;|&]{0,120}--force-bad-verify\b/
        $rauc = /allowed-signers-verify=false|(^|\n)[ \t]*verify[ \t]*=[ \t]*false[ \t]*\n[^\[]{0,200}\[handlers\]/
    condition:
        any of them
}

rule update_package_signatures_off
{
    meta:
        id = "update-package-signatures-off"
        description = "package manager set to take unsigned packages"
        severity = "high"
        reference = "opkg option check_signature; APT trusted=yes"
    strings:
        $opkg = /(^|\n)[ \t]*option[ \t]+check_signature[ \t]+(0|false|no)\b/
        $apt = /(^|\n)[ \t]*deb[ \t]+\[[^\]\n]{0,80}trusted=yes/
        $sources = /(^|\n)[ \t]*APT::Get::AllowUnauthenticated[ \t]+"?(true|1)/ nocase
    condition:
        any of them
}

rule tls_verification_off_in_script
{
    meta:
        id = "tls-verification-off-in-script"
        description = "program text that switches off the check of the server's certificate"
        severity = "high"
        reference = "CWE-295"
    strings:
        $curl = /CURLOPT_SSL_VERIFY(PEER|HOST)['"]?[ \t]*(,|=>|=)[ \t]*(0|false|FALSE)\b/
        $python1 = /\b(requests|session|s|http)\.(get|post|put|request|Session)\([^\n]{0,300}verify[ \t]*=[ \t]*False/
        $python2 = "ssl._create_unverified_context"
        $python3 = /\.verify_mode[ \t]*=[ \t]*ssl\.CERT_NONE/
        $node1 = /rejectUnauthorized['"]?[ \t]*:[ \t]*false/
        $node2 = /NODE_TLS_REJECT_UNAUTHORIZED['"\]]{0,2}[ \t]*=[ \t]*['"]?0/
        $lua = /\bverify[ \t]*=[ \t]*["']none["']/
        $go = /InsecureSkipVerify[ \t]*:[ \t]*true/
        $mqtt = /tls_insecure_set\([ \t]*True/
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule tls_verification_off_in_config
{
    meta:
        id = "tls-verification-off-in-config"
        description = "client configuration that accepts any certificate"
        severity = "medium"
        reference = "CWE-295"
    strings:
        $wget = /(^|\n)[ \t]*check_certificate[ \t]*=[ \t]*(off|no|0)\b/ nocase
        $curlrc = /(^|\n)[ \t]*insecure[ \t]*(\n|$)/
        $git = /(^|\n)[ \t]*sslVerify[ \t]*=[ \t]*(false|0)\b/ nocase
        $mosquitto = /(^|\n)[ \t]*bridge_insecure[ \t]+true/
        $msmtp = /(^|\n)[ \t]*tls_certcheck[ \t]+off/
    condition:
        any of them
}
