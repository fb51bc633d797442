// Signs of a way back to the factory state, of a watchdog, and of secrets that are written to a log.

rule recovery_factory_reset
{
    meta:
        id = "recovery-factory-reset"
        description = "words of a function that takes the device back to its factory state"
        severity = "info"
        reference = "ETSI EN 303 645 5.11"
    strings:
        $w1 = "factory reset" nocase
        $w2 = "factory default" nocase
        $w3 = "factory_reset" nocase
        $w4 = "factory-reset" nocase
        $w5 = "FactoryReset"
        $w6 = "Restore Default"
        $w14 = "restore default setting" nocase
        $w15 = "restore defaults" nocase
        $w7 = "RestoreDefault"
        $w8 = "restore_default" nocase
        $w9 = "restoredefaults" nocase
        $w10 = "reset to default" nocase
        $w11 = "factory settings" nocase
        $w12 = "LoadDefaultSettings"
        $w13 = "resetToDefault" nocase
    condition:
        any of them
}

rule recovery_storage_erased
{
    meta:
        id = "recovery-storage-erased"
        description = "call or command that erases where settings are kept"
        severity = "info"
        reference = "ESP-IDF nvs_flash.h; OpenWrt mtd, jffs2reset; Zephyr fs/nvs.h, settings"
    strings:
        $nvs = "nvs_flash_erase"
        $partition = "nvs_erase_all"
        $nvram = "nvram erase"
        $mtd = "mtd erase"
        $jffs2 = "jffs2reset"
        $firstboot = "firstboot" fullword
        $ralink = "ralink_init clear"
        $wipe = "--wipe_data"
    condition:
        any of them
}

rule recovery_watchdog
{
    meta:
        id = "recovery-watchdog"
        description = "program that feeds or sets up a watchdog"
        severity = "info"
        reference = "Linux Documentation/watchdog; ESP-IDF esp_task_wdt.h; Zephyr drivers/watchdog.h"
    strings:
        $device = "/dev/watchdog"
        $device_node = "/dev/misc/watchdog"
        $esp = "Task watchdog got triggered"
        $esp_interrupt = "Interrupt wdt timeout"
        $esp_old = "Task watchdog initialized"
        $zephyr = "wdt_install_timeout"
        $nordic = "nrfx_wdt"
    condition:
        any of them
}

rule recovery_secret_in_log
{
    meta:
        id = "recovery-secret-in-log"
        description = "format of a message that shows a name and the password that goes with it"
        evidence = "$format"  // the others only make the search quick
        severity = "low"
        reference = "CWE-532"
    strings:
        $format = /(ssid|user|name)[ :=\[']{1,4}%s[ ,;:\]']{1,4}([a-z_ ]{0,12}_)?(key|pass|passwd|password|psk|pwd)[ :=\[']{1,4}%s/ nocase
        $w1 = "key:%s" nocase
        $w2 = "key: %s" nocase
        $w3 = "key[%s" nocase
        $w4 = "pass:%s" nocase
        $w5 = "pass: %s" nocase
        $w6 = "wd:%s" nocase
        $w7 = "wd: %s" nocase
        $w8 = "wd[%s" nocase
        $w9 = "word:%s" nocase
        $w10 = "word: %s" nocase
        $w11 = "word[%s" nocase
        $w12 = "psk:%s" nocase
        $w13 = "psk: %s" nocase
    condition:
        $format and any of ($w*)
}
