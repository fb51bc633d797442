// Keys that everybody has, and protocols that no longer protect.

rule crypto_private_key_in_program
{
    meta:
        id = "crypto-private-key-in-program"
        description = "whole PEM private key inside a program or library"
        severity = "high"
        reference = "CWE-321"
        secret = "true"
    strings:
        $key = /-----BEGIN (RSA |EC |DSA )?PRIVATE KEY-----(\r?\n|\x00|\\n)[A-Za-z0-9+\/]{40,76}(\r?\n|\x00|\\n)[A-Za-z0-9+\/=]{8,76}/
    condition:
        uint32(0) == 0x464c457f and $key
}

rule crypto_android_test_keys
{
    meta:
        id = "crypto-android-test-keys"
        description = "Android signed with the published test keys"
        severity = "critical"
        reference = "AOSP build/target/product/security; ro.build.tags"
    strings:
        $tags = /(^|\n)ro\.(system\.|vendor\.)?build\.tags=[a-z,-]{0,40}test-keys/
    condition:
        $tags
}

rule crypto_mcuboot_sample_key
{
    meta:
        id = "crypto-mcuboot-sample-key"
        description = "hash of the sample signing key root-rsa-2048.pem that MCUboot publishes with its private half"
        severity = "critical"
        reference = "MCUboot root-rsa-2048.pem; Trusted Firmware-M default rotpk"
    strings:
        $hash = { fc 57 01 dc 61 35 e1 32 38 47 bd c4 0f 04 d2 e5 be e5 83 3b 23 c2 9f 93 59 3d 00 01 8c fa 99 94 }
    condition:
        $hash
}

rule crypto_uboot_development_key
{
    meta:
        id = "crypto-uboot-development-key"
        description = "boot loader device tree that trusts a key named as a development or test key"
        severity = "medium"
        reference = "U-Boot doc/usage/fit/signature.rst, key-name-hint"
    strings:
        $node = /\x00key-(dev|test|development|sample|demo)\x00/
        $modulus = "rsa,modulus"
        $curve = "ecdsa,x-point"
    condition:
        $node and any of ($modulus, $curve)
}

rule crypto_sample_certificate
{
    meta:
        id = "crypto-sample-certificate"
        description = "sample certificate of a TLS library or web server"
        severity = "medium"
        reference = "CWE-321"
    strings:
        $snakeoil1 = "snakeoil@snakeoil.dom"
        $snakeoil2 = "Snake Oil, Ltd"
        $wolfssl = "info@wolfssl.com"
        $cyassl = "info@yassl.com"
        $matrixssl = "Sample Matrix RSA-"
        $axtls = "axTLS Project Dodgy Certificate Authority"
    condition:
        any of them
}

rule crypto_old_tls_enabled
{
    meta:
        id = "crypto-old-tls-enabled"
        description = "server configuration that offers SSL 2 or SSL 3"
        severity = "high"
        reference = "RFC 6176; RFC 7568"
    strings:
        $lighttpd = /(^|\n)[ \t]*ssl\.use-sslv[23][ \t]*=[ \t]*"enable"/
        $nginx = /(^|\n)[ \t]*ssl_protocols[ \t]+[^;\n]{0,80}SSLv[23]/
        $apache = /(^|\n)[ \t]*SSLProtocol[ \t]+(all[ \t]*(\n|$)|[^\n]{0,80}\+SSLv[23])/ nocase
        $stunnel = /(^|\n)[ \t]*sslVersion[ \t]*=[ \t]*SSLv[23]/
    condition:
        any of them
}

rule crypto_weak_ssh_algorithms
{
    meta:
        id = "crypto-weak-ssh-algorithms"
        description = "SSH configuration that names algorithms broken for years"
        severity = "medium"
        reference = "RFC 9142; OpenSSH legacy options"
    strings:
        $ciphers = /(^|\n)[ \t]*Ciphers[ \t]+[^\n]{0,300}(arcfour|3des-cbc|blowfish-cbc|des-cbc)/ nocase
        $macs = /(^|\n)[ \t]*MACs[ \t]+[^\n]{0,300}hmac-md5/ nocase
        $kex = /(^|\n)[ \t]*KexAlgorithms[ \t]+[^\n]{0,300}diffie-hellman-group1-sha1/ nocase
    condition:
        any of them
}
