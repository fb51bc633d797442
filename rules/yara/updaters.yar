// What compiled updaters say of themselves: writing flash, and the checks they speak of. Facts for the update model, no findings.
// Plain texts only: these rules run over every program, and expressions that begin with everyday words are slow.

rule updater_flash_writer
{
    meta:
        id = "updater-flash-writer"
        description = "program that writes software images to flash"
        severity = "info"
        reference = "mtd device nodes, names of flashing programs and functions, beside words for firmware"
    strings:
        $say01 = "firmware upgrade" nocase
        $say02 = "upgrade firmware" nocase
        $say03 = "firmware update" nocase
        $say04 = "update firmware" nocase
        $say05 = "upgrading firmware" nocase
        $say06 = "software upgrade" nocase
        $say07 = "firmware version check" nocase
        $say08 = "check firmware" nocase
        $say09 = "invalid firmware" nocase
        $say10 = "wrong firmware" nocase
        $say11 = "firmware file" nocase
        $say12 = "firmware image" nocase
        $say13 = "firmware is " nocase
        $say14 = "upgrade fail" nocase
        $say15 = "upgrade succ" nocase
        $say16 = "upgrade error" nocase
        $say17 = "upgrade file" nocase
        $say18 = "upgrade image" nocase
        $say19 = "update fail" nocase
        $say20 = "image check" nocase
        $say21 = "invalid image" nocase
        $say22 = "firmware check" nocase
        $do01 = "/dev/mtd"
        $do02 = "mtd_write"
        $do03 = "mtd write"
        $do04 = "mtd -r write"
        $do05 = "flash_eraseall"
        $do06 = "flash_erase"
        $do07 = "flashcp "
        $do08 = "nandwrite "
        $do09 = "ubiupdatevol "
        $do10 = "sysupgrade "
        $do11 = "mtd_erase"
        $do12 = "write flash" nocase
        $do13 = "flash write" nocase
        $do14 = "flashwrite" nocase
        $do15 = "writeflash" nocase
        $do16 = "flash_write" nocase
        $do17 = "write_flash" nocase
        $do18 = "write to flash" nocase
        $do19 = "writing flash" nocase
        $do20 = "erase flash" nocase
        $do21 = "burnimage" nocase
        $do22 = "burn flash" nocase
        $do23 = "upgradefirmware" nocase
        $do24 = "updatefirmware" nocase
        $do25 = "firmwareupgrade" nocase
        $do26 = "firmwareupdate" nocase
        $do27 = "firmware_upgrade" nocase
        $do28 = "firmware_update" nocase
        $do29 = "upgrade_firmware" nocase
        $do30 = "fwupgrade" nocase
    condition:
        uint32(0) == 0x464c457f and any of ($say*) and any of ($do*)
}

rule updater_hash
{
    meta:
        id = "updater-hash"
        description = "program that speaks of comparing a hash"
        severity = "info"
        reference = "messages of update programs"
    strings:
        $a01 = "md5 check" nocase
        $a02 = "md5 error" nocase
        $a03 = "md5 err" nocase
        $a04 = "md5 fail" nocase
        $a05 = "md5 mismatch" nocase
        $a06 = "md5 not " nocase
        $a07 = "md5 verify" nocase
        $a08 = "md5 checksum" nocase
        $a09 = "md5sum check" nocase
        $a10 = "md5 is " nocase
        $a11 = "md5_verify" nocase
        $a12 = "md5verify" nocase
        $a13 = "verify md5" nocase
        $a14 = "check md5" nocase
        $a15 = "check_md5" nocase
        $a16 = "checkmd5" nocase
        $a17 = "md5_check" nocase
        $a18 = "md5check" nocase
        $a19 = "wrong md5" nocase
        $a20 = "invalid md5" nocase
        $a21 = "sha256 check" nocase
        $a22 = "sha256 mismatch" nocase
        $a23 = "sha256 fail" nocase
        $a24 = "sha1 check" nocase
        $a25 = "verify sha" nocase
        $a26 = "check sha" nocase
        $a27 = "digest mismatch" nocase
        $a28 = "hash mismatch" nocase
    condition:
        uint32(0) == 0x464c457f and any of them
}

rule updater_checksum
{
    meta:
        id = "updater-checksum"
        description = "program that speaks of comparing a checksum"
        severity = "info"
        reference = "messages of update programs"
    strings:
        $a01 = "crc check" nocase
        $a02 = "crc error" nocase
        $a03 = "crc err" nocase
        $a04 = "crc fail" nocase
        $a05 = "crc mismatch" nocase
        $a06 = "bad crc" nocase
        $a07 = "wrong crc" nocase
        $a08 = "invalid crc" nocase
        $a09 = "check crc" nocase
        $a10 = "crc32 check" nocase
        $a11 = "crc32 error" nocase
        $a12 = "crc32 mismatch" nocase
        $a13 = "checksum error" nocase
        $a14 = "checksum err" nocase
        $a15 = "checksum fail" nocase
        $a16 = "checksum mismatch" nocase
        $a17 = "checksum is " nocase
        $a18 = "checksum not " nocase
        $a19 = "bad checksum" nocase
        $a20 = "wrong checksum" nocase
        $a21 = "invalid checksum" nocase
        $a22 = "check sum error" nocase
        $a23 = "image crc" nocase
    condition:
        uint32(0) == 0x464c457f and any of them
}

rule updater_signature
{
    meta:
        id = "updater-signature"
        description = "program that speaks of the signature of an image"
        severity = "info"
        reference = "messages of update programs"
    strings:
        $a01 = "firmware signature" nocase
        $a02 = "image signature" nocase
        $a03 = "signature of firmware" nocase
        $a04 = "fw signature" nocase
        $a05 = "upgrade signature" nocase
        $a06 = "update signature" nocase
        $a07 = "rsa verify" nocase
        $a08 = "rsa signature" nocase
        $a09 = "rsa_verify" nocase
        $a10 = "rsaverify" nocase
        $a11 = "signature check fail" nocase
        $a12 = "signature verification fail" nocase
        $a13 = "signature verify fail" nocase
        $a14 = "verify signature fail" nocase
        $a15 = "check signature fail" nocase
        $a16 = "sign check fail" nocase
        $a17 = "invalid signature" nocase
        $a18 = "bad signature" nocase
        $a19 = "verify_signature" nocase
        $a20 = "check_signature" nocase
        $a21 = "sign verify" nocase
    condition:
        uint32(0) == 0x464c457f and any of them
}

rule bundle_nordic_signed_init
{
    meta:
        id = "nordic-dfu-signed-init"
        description = "init packet of a Nordic DFU package with an ECDSA P-256 signature"
        severity = "info"
        reference = "nRF5 SDK dfu-cc.proto: Packet.signed_command (2), SignedCommand.signature_type (2) and signature (3) of 64 bytes"
    strings:
        $signature = { 10 00 1a 40 }
    condition:
        uint8(0) == 0x12 and filesize > 80 and filesize < 1024 and $signature at (filesize - 68)
}

rule bundle_cms_signed_data
{
    meta:
        id = "cms-signed-data"
        description = "CMS signed data, as appended to RAUC bundles and kept beside SWUpdate descriptions"
        severity = "info"
        reference = "RFC 5652: ContentInfo with id-signedData"
    strings:
        $oid = { 06 09 2a 86 48 86 f7 0d 01 07 02 a0 }
    condition:
        uint8(0) == 0x30 and $oid in (2..6)
}
