// What compiled updaters say of themselves: writing flash, and the checks they speak of. Facts for the update model, no findings.

rule updater_flash_writer
{
    meta:
        id = "updater-flash-writer"
        description = "program that writes software images to flash"
        severity = "info"
        reference = "mtd(4) device nodes and the usual flashing programs, beside words for firmware"
    strings:
        $node = /\/dev\/mtd(block)?[\/%\d]/
        $erase = /(flash_eraseall|flash_erase|mtd_erase|MEMERASE|MTD_ERASE|mtdErase)/
        $tool = /(mtd|mtd_write)[ \t](-\w[ \t]){0,3}write[ \t]/
        $copy = /(flashcp|ubiupdatevol|nandwrite|sysupgrade|fwupgrade|fw_upgrade|mtd_write)[ \t]/
        $write = /(write|burn|program|erase|updat|upgrad)(e|ing)?[ _]?(to[ _]|the[ _]|new[ _])?(flash|firmware|kernel|rootfs|fw|image)/ nocase
        $flash = /flash[ _]?(write|program|burn|erase)/ nocase
        $upload = /(firmware|software|soft|fw)_?(upload|upgrade|update)/ nocase
        $message = /(firmware|upgrade|update|image|fw) ?(file |version |image |check |header |upgrade |update ){0,2}(is )?(succes|fail|error|start|begin|finish|complet|invalid|illegal|wrong|not match|not valid|mismatch|check)/ nocase
    condition:
        uint32(0) == 0x464c457f and $message and
        (($node and ($erase or $write or $flash)) or $tool or $copy or ($write and ($flash or $upload)))
}

rule updater_hash
{
    meta:
        id = "updater-hash"
        description = "program that speaks of comparing a hash"
        severity = "info"
        reference = "messages of update programs"
    strings:
        $a = /(md5|sha-?1|sha-?256|digest)[ _]?(sum)?[ _:]?(check|verif|error|err|fail|mismatch|wrong|invalid|not|is not|incorrect|compare)/ nocase
        $b = /(check|verif(y|ied)|wrong|invalid|bad|compare)[ _]?(the[ _])?(image|file|firmware|fw)?[ _]?(md5|sha-?1|sha-?256)/ nocase
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
        $a = /(crc(32|16)?|check[ _]?sum)[ _:]?(check|verif|error|err|fail|mismatch|wrong|invalid|not|is not|incorrect|compare)/ nocase
        $b = /(check|verif(y|ied)|wrong|invalid|bad)[ _]?(the[ _])?(image|file|firmware|fw|header|data)?[ _]?(crc|check[ _]?sum)/ nocase
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
        $a = /(firmware|image|fw|upgrade|update|rsa)[ _]?(file[ _])?(signature|sign)[ _:]?(check|verif|error|err|fail|mismatch|wrong|invalid|not|is not|incorrect|ok)/ nocase
        $b = /(check|verif(y|ied|ication)|wrong|invalid|bad)[ _]?(of[ _])?(the[ _])?(image|firmware|fw|upgrade|update|rsa)[ _]?(file[ _])?(signature|sign)/ nocase
        $c = /signature[ _](check|verif\w{1,8})[ _](fail|error|ok|success)/ nocase
    condition:
        uint32(0) == 0x464c457f and any of them
}
