// What firmware of microcontrollers says of itself: how new software comes in and is written, TLS libraries and how far they
// verify, consoles, locks, cloud services. Facts, no findings: the device model decides what they mean. `topic` is the subject
// that a fact is told under, `says` what it says, `state` whether it is so (yes, no, unknown; without it: yes). Texts are those
// that only a build with the function holds: names in tables of error codes, which every build carries, are none. ELF programs
// are left out.

rule mcu_write_esp_idf
{
    meta:
        id = "mcu-write-esp-idf"
        description = "update writer: ESP-IDF (esp_ota_write)"
        severity = "info"
        reference = "ESP-IDF app_update/esp_ota_ops.c"
        topic = "update writer"
        says = "ESP-IDF (esp_ota_write)"
        sink = "esp-idf"
    strings:
        $s1 = "OTA image has invalid magic byte"
        $s2 = "New image failed verification"
        $s3 = "esp_ota_begin"
        $s4 = "esp_ota_set_boot_partition"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_write_arduino_esp32
{
    meta:
        id = "mcu-write-arduino-esp32"
        description = "update writer: Arduino Update (ESP32)"
        severity = "info"
        reference = "Arduino core for ESP32, libraries/Update"
        topic = "update writer"
        says = "Arduino Update (ESP32)"
        sink = "arduino-esp32"
    strings:
        $s1 = "Could Not Activate The Firmware"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_write_arduino_esp8266
{
    meta:
        id = "mcu-write-arduino-esp8266"
        description = "update writer: Arduino Updater (ESP8266)"
        severity = "info"
        reference = "Arduino core for ESP8266, cores/esp8266/Updater.cpp"
        topic = "update writer"
        says = "Arduino Updater (ESP8266)"
        sink = "arduino-esp8266"
    strings:
        $s1 = "Signature verification failed"
        $s2 = "Bad Size Given"
        $s3 = "0xE9"
    condition:
        uint32(0) != 0x464c457f and all of them
}

rule mcu_write_mcuboot
{
    meta:
        id = "mcu-write-mcuboot"
        description = "update writer: the secondary slot of MCUboot"
        severity = "info"
        reference = "Zephyr subsys/dfu, nRF Connect SDK dfu_target"
        topic = "update writer"
        says = "the secondary slot of MCUboot"
        sink = "mcuboot"
    strings:
        $s1 = "boot_request_upgrade"
        $s2 = "boot_set_pending"
        $s3 = "mcuboot_util"
        $s4 = "img_mgmt"
        $s5 = "dfu_target_mcuboot"
        $s6 = "flash_img_buffered_write"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_write_nordic_dfu
{
    meta:
        id = "mcu-write-nordic-dfu"
        description = "update writer: the boot loader of the nRF5 SDK"
        severity = "info"
        reference = "nRF5 SDK components/libraries/bootloader/dfu"
        topic = "update writer"
        says = "the boot loader of the nRF5 SDK"
        sink = "nordic-dfu"
    strings:
        $s1 = "nrf_dfu_validation"
        $s2 = "nrf_dfu_req_handler"
        $s3 = "Signature required. Checking signature."
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_write_rt_thread
{
    meta:
        id = "mcu-write-rt-thread"
        description = "update writer: RT-Thread OTA (download partition)"
        severity = "info"
        reference = "RT-Thread OTA package as in the boot loader of Beken BK7231"
        topic = "update writer"
        says = "RT-Thread OTA (download partition)"
        component = "rt-thread_ota"
        sink = "rt-thread"
    strings:
        $s1 = "RT-Thread OTA package(V"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_write_realtek
{
    meta:
        id = "mcu-write-realtek"
        description = "update writer: Realtek Ameba OTA"
        severity = "info"
        reference = "Realtek Ameba SDK ota_8710c.c, ota_8195a.c"
        topic = "update writer"
        says = "Realtek Ameba OTA"
        sink = "realtek"
    strings:
        $s1 = "update_ota_local_task"
        $s2 = "update_ota_prepare_addr"
        $s3 = "http_update_ota_task"
        $s4 = "update_ota_http_connect_server"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_write_bouffalo
{
    meta:
        id = "mcu-write-bouffalo"
        description = "update writer: Bouffalo OTA"
        severity = "info"
        reference = "Bouffalo Lab bl_iot_sdk: hosal_ota.c"
        topic = "update writer"
        says = "Bouffalo OTA"
        sink = "bouffalo"
    strings:
        $s1 = "hosal_ota_start"
        $s2 = "hosal_ota_update"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_write_tuya
{
    meta:
        id = "mcu-write-tuya"
        description = "update writer: Tuya OTA"
        severity = "info"
        reference = "TuyaOS: tkl_ota.h, tuya_iot_com_api.h"
        topic = "update writer"
        says = "Tuya OTA"
        sink = "tuya"
    strings:
        $s1 = "tuya_hal_ota"
        $s2 = "tuya_iot_upgrade_gw"
        $s3 = "tkl_ota_"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_fetch_https_ota
{
    meta:
        id = "mcu-fetch-https-ota"
        description = "update source: HTTPS download (esp_https_ota)"
        severity = "info"
        reference = "ESP-IDF esp_https_ota.c"
        topic = "update source"
        says = "HTTPS download (esp_https_ota)"
        source = "http download"
    strings:
        $s1 = "esp_https_ota"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_fetch_arduino_http
{
    meta:
        id = "mcu-fetch-arduino-http"
        description = "update source: HTTP download (Arduino HTTPUpdate)"
        severity = "info"
        reference = "Arduino ESP8266httpUpdate, HTTPUpdate"
        topic = "update source"
        says = "HTTP download (Arduino HTTPUpdate)"
        source = "http download"
    strings:
        $s1 = "ESP8266-http-Update"
        $s2 = "ESP32-http-Update"
        $s3 = "x-ESP8266-sketch-md5"
        $s4 = "x-ESP32-sketch-md5"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_fetch_arduino_push
{
    meta:
        id = "mcu-fetch-arduino-push"
        description = "update source: push from the local network (ArduinoOTA)"
        severity = "info"
        reference = "Arduino ArduinoOTA, ESPmDNS enableArduino()"
        topic = "update source"
        says = "push from the local network (ArduinoOTA)"
        source = "network push"
    strings:
        $s1 = "auth_upload"
        $s2 = "tcp_check"
    condition:
        uint32(0) != 0x464c457f and all of them
}

rule mcu_fetch_web_upload
{
    meta:
        id = "mcu-fetch-web-upload"
        description = "update source: web upload"
        severity = "info"
        reference = "Arduino ESP8266HTTPUpdateServer, ElegantOTA, Tasmota"
        topic = "update source"
        says = "web upload"
        source = "web upload"
    strings:
        $s1 = "<input type='submit' value='Update Firmware'"
        $s2 = "Update Success! Rebooting"
        $s4 = "ElegantOTA"
        $s5 = "Upgrade by file upload"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_fetch_tasmota
{
    meta:
        id = "mcu-fetch-tasmota"
        description = "update source: HTTP download (Tasmota OtaUrl)"
        severity = "info"
        reference = "Tasmota: OtaUrl"
        topic = "update source"
        says = "HTTP download (Tasmota OtaUrl)"
        source = "http download"
    strings:
        $s1 = "|OtaUrl|"
        $s2 = "OtaUrl %s"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_fetch_esphome
{
    meta:
        id = "mcu-fetch-esphome"
        description = "update source: push from the local network (ESPHome)"
        severity = "info"
        reference = "ESPHome ota component"
        topic = "update source"
        says = "push from the local network (ESPHome)"
        source = "network push"
    strings:
        $s1 = "Over-The-Air updates"
        $s2 = "Over-The-Air Updates"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_fetch_mongoose_os
{
    meta:
        id = "mcu-fetch-mongoose-os"
        description = "update source: update service of Mongoose OS (OTA.Update)"
        severity = "info"
        reference = "Mongoose OS libraries ota-common, rpc-service-ota"
        topic = "update source"
        says = "update service of Mongoose OS (OTA.Update)"
        source = "http download"
    strings:
        $s1 = "OTA.Update"
        $s2 = "mgos_ota_"
        $s3 = "mgos_upd_"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_fetch_matter
{
    meta:
        id = "mcu-fetch-matter"
        description = "update source: Matter OTA requestor"
        severity = "info"
        reference = "Matter SDK src/app/clusters/ota-requestor"
        topic = "update source"
        says = "Matter OTA requestor"
        source = "Matter"
    strings:
        $s1 = "OTARequestor"
        $s2 = "OTAImageProcessor"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_fetch_zigbee
{
    meta:
        id = "mcu-fetch-zigbee"
        description = "update source: Zigbee OTA cluster"
        severity = "info"
        reference = "ZBOSS, TI Z-Stack, EmberZNet"
        topic = "update source"
        says = "Zigbee OTA cluster"
        source = "Zigbee OTA"
    strings:
        $s1 = "zb_ota_upgrade"
        $s2 = "zcl_ota_upgrade"
        $s3 = "zclOTA_"
        $s4 = "emberAfOtaClient"
        $s5 = "emAfOta"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_fetch_ble
{
    meta:
        id = "mcu-fetch-ble"
        description = "update source: Bluetooth LE DFU"
        severity = "info"
        reference = "nRF5 SDK bootloader, Zephyr mcumgr transport"
        topic = "update source"
        says = "Bluetooth LE DFU"
        source = "Bluetooth LE"
    strings:
        $s1 = "DfuTarg"
        $s2 = "SMP characteristic"
        $s3 = "smp_bt"
        $s4 = "bt_dfu"
        $s5 = "ble_dfu"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_fetch_serial
{
    meta:
        id = "mcu-fetch-serial"
        description = "update source: serial line (YMODEM, recovery mode)"
        severity = "info"
        reference = "YMODEM of boot loaders, MCUboot boot_serial"
        topic = "update source"
        says = "serial line (YMODEM, recovery mode)"
        source = "serial line"
    strings:
        $s1 = "ymodem" nocase
        $s2 = "Enter the serial recovery mode" nocase
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_fetch_usb_dfu
{
    meta:
        id = "mcu-fetch-usb-dfu"
        description = "update source: USB DFU"
        severity = "info"
        reference = "ST UM0424, DfuSe memory names"
        topic = "update source"
        says = "USB DFU"
        source = "USB"
    strings:
        $s1 = "@Internal Flash  /0x"
        $s2 = "@Internal Flash /0x"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_fetch_tuya
{
    meta:
        id = "mcu-fetch-tuya"
        description = "update source: cloud of Tuya"
        severity = "info"
        reference = "TuyaOS cloud interfaces"
        topic = "update source"
        says = "cloud of Tuya"
        source = "cloud agent"
    strings:
        $s1 = "tuya_ota"
        $s2 = "upgrade_ug"
        $s3 = "tuya.device.upgrade"
        $s4 = "thing.m.device.upgrade"
        $s5 = "tuya.device.versions.update"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_fetch_aws
{
    meta:
        id = "mcu-fetch-aws"
        description = "update source: AWS IoT OTA jobs"
        severity = "info"
        reference = "FreeRTOS OTA library (AWS IoT jobs and streams)"
        topic = "update source"
        says = "AWS IoT OTA jobs"
        source = "cloud agent"
    strings:
        $s1 = "/jobs/notify-next"
        $s2 = "/streams/AFR_OTA"
        $s3 = "AFR_OTA"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_fetch_azure
{
    meta:
        id = "mcu-fetch-azure"
        description = "update source: Azure Device Update"
        severity = "info"
        reference = "Azure Device Update for IoT Hub agent"
        topic = "update source"
        says = "Azure Device Update"
        source = "cloud agent"
    strings:
        $s1 = "azureDeviceUpdateAgent"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_fetch_lwm2m
{
    meta:
        id = "mcu-fetch-lwm2m"
        description = "update source: LwM2M firmware object"
        severity = "info"
        reference = "OMA LwM2M object 5: Zephyr, Anjay"
        topic = "update source"
        says = "LwM2M firmware object"
        source = "LwM2M"
    strings:
        $s1 = "lwm2m_obj_firmware"
        $s2 = "anjay_fw_update"
        $s3 = "net_lwm2m_obj_firmware"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_fetch_hawkbit
{
    meta:
        id = "mcu-fetch-hawkbit"
        description = "update source: update server (hawkBit, UpdateHub, Mender, Golioth, Memfault)"
        severity = "info"
        reference = "Zephyr mgmt/hawkbit, updatehub; mender-mcu, Golioth and Memfault SDKs"
        topic = "update source"
        says = "update server (hawkBit, UpdateHub, Mender, Golioth, Memfault)"
        source = "cloud agent"
    strings:
        $s1 = "hawkbit"
        $s2 = "updatehub"
        $s3 = "mender-client"
        $s4 = "golioth_fw"
        $s5 = "memfault_fota"
        $s6 = "memfault_ota"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_fetch_radio_module
{
    meta:
        id = "mcu-fetch-radio-module"
        description = "update source: AT command to the radio module"
        severity = "info"
        reference = "AT command manuals of Quectel, Espressif, SIMCom, Telit, u-blox"
        topic = "update source"
        says = "AT command to the radio module"
        source = "http download"
        sink = "radio module"
    strings:
        $s1 = "AT+QWLANOTA"
        $s2 = "AT+QFOTADL"
        $s3 = "AT+CIUPDATE"
        $s4 = "AT+CFOTA"
        $s5 = "AT#OTAUP"
        $s6 = "AT+UFWUPD"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_fetch_spoken_of
{
    meta:
        id = "mcu-fetch-spoken-of"
        description = "update over the air: the texts speak of it"
        severity = "info"
        reference = "texts"
        topic = "update over the air"
        says = "the texts speak of it"
        state = "unknown"
    strings:
        $s1 = "OTA update" nocase
        $s2 = "ota_update" nocase
        $s3 = "ota_begin" nocase
        $s4 = "OTA upgrade" nocase
        $s5 = "ota_upgrade" nocase
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_check_esp_signature
{
    meta:
        id = "mcu-check-esp-signature"
        description = "update signature: a signature is verified before an image is accepted (ESP-IDF)"
        severity = "info"
        reference = "ESP-IDF esp_image_format.c, built with CONFIG_SECURE_SIGNED_ON_UPDATE or secure boot"
        topic = "update signature"
        says = "a signature is verified before an image is accepted (ESP-IDF)"
    strings:
        $s1 = "Secure boot signature verification failed"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_check_esp_hash
{
    meta:
        id = "mcu-check-esp-hash"
        description = "image check: checksum byte and SHA-256 (esp_image_verify)"
        severity = "info"
        reference = "ESP-IDF esp_image_format.c"
        topic = "image check"
        says = "checksum byte and SHA-256 (esp_image_verify)"
    strings:
        $s1 = "(nothing flashed here?)"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_check_anti_rollback
{
    meta:
        id = "mcu-check-anti-rollback"
        description = "older versions: the security version is compared with the fuses (ESP-IDF)"
        severity = "info"
        reference = "ESP-IDF esp_https_ota.c, built with CONFIG_BOOTLOADER_APP_ANTI_ROLLBACK"
        topic = "older versions"
        says = "the security version is compared with the fuses (ESP-IDF)"
    strings:
        $s1 = "security version is less than eFuse programmed"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_check_app_rollback
{
    meta:
        id = "mcu-check-app-rollback"
        description = "fall-back: an application that does not confirm itself is given up"
        severity = "info"
        reference = "ESP-IDF esp_ota_ops.c, built with CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE; Arduino core for ESP32"
        topic = "fall-back"
        says = "an application that does not confirm itself is given up"
    strings:
        $s1 = "OTA verification failed! Start rollback"
        $s2 = "Running app has not confirmed state"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_check_mcuboot_loader
{
    meta:
        id = "mcu-check-mcuboot-loader"
        description = "boot loader: MCUboot"
        severity = "info"
        reference = "MCUboot boot/zephyr/main.c, bootutil/src/loader.c"
        topic = "boot loader"
        says = "MCUboot"
        component = "mcuboot"
    strings:
        $s1 = "Swap type: %s"
        $s2 = "Jumping to the first image slot"
        $s3 = "Image in the %s slot is not valid!"
        $s4 = "Image in the primary slot is not valid"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_check_mcuboot_downgrade
{
    meta:
        id = "mcu-check-mcuboot-downgrade"
        description = "older versions: MCUboot refuses older versions"
        severity = "info"
        reference = "MCUboot bootutil/src/loader.c, built with MCUBOOT_DOWNGRADE_PREVENTION"
        topic = "older versions"
        says = "MCUboot refuses older versions"
    strings:
        $s1 = "insufficient version in secondary slot"
        $s2 = "Image in slot is too old"
        $s3 = "insufficient security counter"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_secure_boot_esp
{
    meta:
        id = "mcu-secure-boot-esp"
        description = "secure boot: the boot loader turns on Secure Boot V2"
        severity = "info"
        reference = "ESP-IDF bootloader_support/src/secure_boot.c"
        topic = "secure boot"
        says = "the boot loader turns on Secure Boot V2"
    strings:
        $s1 = "enabling secure boot v2"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_flash_encryption_esp
{
    meta:
        id = "mcu-flash-encryption-esp"
        description = "flash encryption: the boot loader turns on flash encryption"
        severity = "info"
        reference = "ESP-IDF bootloader_support/src/flash_encrypt.c"
        topic = "flash encryption"
        says = "the boot loader turns on flash encryption"
    strings:
        $s1 = "plaintext flashes left"
        $s2 = "Generating new flash encryption key"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_debug_lock
{
    meta:
        id = "mcu-debug-lock"
        description = "debug port lock: the boot loader burns the fuses that turn JTAG off"
        severity = "info"
        reference = "ESP-IDF secure_boot.c, flash_encryption_secure_features.c"
        topic = "debug port lock"
        says = "the boot loader burns the fuses that turn JTAG off"
    strings:
        $s1 = "Disable JTAG..."
        $s2 = "Disable hardware JTAG..."
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_debug_unlocked
{
    meta:
        id = "mcu-debug-unlocked"
        description = "debug port lock: the boot loader leaves JTAG on"
        severity = "info"
        reference = "ESP-IDF, built with CONFIG_SECURE_BOOT_ALLOW_JTAG"
        topic = "debug port lock"
        says = "the boot loader leaves JTAG on"
        state = "no"
    strings:
        $s1 = "Not disabling JTAG - SECURITY COMPROMISED"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_rom_unlocked
{
    meta:
        id = "mcu-rom-unlocked"
        description = "ROM functions lock: the boot loader leaves ROM functions on that get round its protection"
        severity = "info"
        reference = "ESP-IDF, built with CONFIG_SECURE_BOOT_ALLOW_ROM_BASIC and CONFIG_SECURE_FLASH_UART_BOOTLOADER_ALLOW_ENC"
        topic = "ROM functions lock"
        says = "the boot loader leaves ROM functions on that get round its protection"
        state = "no"
    strings:
        $s1 = "Not disabling ROM BASIC fallback - SECURITY COMPROMISED"
        $s2 = "Not disabling UART bootloader encryption"
        $s3 = "Not disabling UART bootloader cache"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_tls_mbedtls
{
    meta:
        id = "mcu-tls-mbedtls"
        description = "TLS library: mbed TLS"
        severity = "info"
        reference = "mbed TLS library/error.c, debug texts"
        topic = "TLS library"
        says = "mbed TLS"
        component = "mbed_tls"
    strings:
        $s1 = "mbedtls_ssl_"
        $s2 = "ssl_tls.c"
        $s3 = "x509_crt.c"
        $s4 = "library/ssl_"
        $s5 = "MBEDTLS_ERR_SSL"
        $s6 = "SSL - The requested feature is not available"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_tls_wolfssl
{
    meta:
        id = "mcu-tls-wolfssl"
        description = "TLS library: wolfSSL"
        severity = "info"
        reference = "wolfSSL debug texts"
        topic = "TLS library"
        says = "wolfSSL"
        component = "wolfssl"
    strings:
        $s1 = "wolfSSL_"
        $s2 = "wolfSSL Entering"
        $s3 = "CyaSSL"
        $s4 = "wolfcrypt/src"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_tls_bearssl
{
    meta:
        id = "mcu-tls-bearssl"
        description = "TLS library: BearSSL"
        severity = "info"
        reference = "BearSSL error names; Arduino core for ESP8266 BearSSL classes"
        topic = "TLS library"
        says = "BearSSL"
        component = "bearssl"
    strings:
        $s1 = "BR_ERR_"
        $s2 = "BearSSL::"
        $s3 = "BSSL:"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_tls_axtls
{
    meta:
        id = "mcu-tls-axtls"
        description = "TLS library: axTLS"
        severity = "info"
        reference = "axTLS"
        topic = "TLS library"
        says = "axTLS"
        component = "axtls"
    strings:
        $s1 = "axTLS"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_tls_tinydtls
{
    meta:
        id = "mcu-tls-tinydtls"
        description = "TLS library: tinydtls"
        severity = "info"
        reference = "Eclipse TinyDTLS"
        topic = "TLS library"
        says = "tinydtls"
        component = "tinydtls"
    strings:
        $s1 = "tinydtls"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_tls_matrixssl
{
    meta:
        id = "mcu-tls-matrixssl"
        description = "TLS library: MatrixSSL"
        severity = "info"
        reference = "MatrixSSL, Rambus TLS Toolkit"
        topic = "TLS library"
        says = "MatrixSSL"
        component = "matrixssl"
    strings:
        $s1 = "MatrixSSL"
        $s2 = "matrixSsl"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_tls_unnamed
{
    meta:
        id = "mcu-tls-unnamed"
        description = "TLS implementation: a TLS client or server is linked in"
        severity = "info"
        reference = "RFC 5246 section 5 and 7.4.9: labels"
        topic = "TLS implementation"
        says = "a TLS client or server is linked in"
    strings:
        $s1 = "master secret"
        $s2 = "key expansion"
        $s3 = "client finished"
        $s4 = "server finished"
    condition:
        uint32(0) != 0x464c457f and all of them
}

rule mcu_verify_bundle
{
    meta:
        id = "mcu-verify-bundle"
        description = "server check: root certificates are at hand (esp_crt_bundle)"
        severity = "info"
        reference = "ESP-IDF mbedtls/esp_crt_bundle"
        topic = "server check"
        says = "root certificates are at hand (esp_crt_bundle)"
        state = "unknown"
    strings:
        $s1 = "esp_crt_bundle"
        $s2 = "esp-x509-crt-bundle"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_verify_demanded
{
    meta:
        id = "mcu-verify-demanded"
        description = "server check: esp-tls refuses a connection that nothing verifies"
        severity = "info"
        reference = "ESP-IDF esp-tls, built without CONFIG_ESP_TLS_SKIP_SERVER_CERT_VERIFY"
        topic = "server check"
        says = "esp-tls refuses a connection that nothing verifies"
        state = "unknown"
    strings:
        $s1 = "No server verification option set in esp_tls_cfg_t structure"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_verify_ota_demanded
{
    meta:
        id = "mcu-verify-ota-demanded"
        description = "server check: esp_https_ota refuses a server that nothing verifies"
        severity = "info"
        reference = "ESP-IDF esp_https_ota.c, built without CONFIG_ESP_HTTPS_OTA_ALLOW_HTTP"
        topic = "server check"
        says = "esp_https_ota refuses a server that nothing verifies"
    strings:
        $s1 = "No option for server verification is enabled in esp_http_client config"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_verify_ota_waived
{
    meta:
        id = "mcu-verify-ota-waived"
        description = "server check: esp_https_ota takes updates from servers that nothing verifies"
        severity = "info"
        reference = "ESP-IDF esp_https_ota.c, built with CONFIG_ESP_HTTPS_OTA_ALLOW_HTTP"
        topic = "server check"
        says = "esp_https_ota takes updates from servers that nothing verifies"
        state = "no"
    strings:
        $s1 = "Continuing with insecure option because CONFIG_"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_verify_can_skip
{
    meta:
        id = "mcu-verify-can-skip"
        description = "server check: the code can connect without (setInsecure)"
        severity = "info"
        reference = "Arduino core for ESP32, ssl_client.cpp"
        topic = "server check"
        says = "the code can connect without (setInsecure)"
        state = "unknown"
    strings:
        $s1 = "Skipping SSL Verification. INSECURE"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_console_zephyr
{
    meta:
        id = "mcu-console-zephyr"
        description = "console: Zephyr shell"
        severity = "info"
        reference = "Zephyr CONFIG_SHELL_PROMPT_UART"
        topic = "console"
        says = "Zephyr shell"
        state = "unknown"
    strings:
        $s1 = "uart:~$"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_console_nuttx
{
    meta:
        id = "mcu-console-nuttx"
        description = "console: NuttShell"
        severity = "info"
        reference = "NuttX apps/nshlib"
        topic = "console"
        says = "NuttShell"
        state = "unknown"
    strings:
        $s1 = "nsh> "
        $s2 = "NuttShell (NSH)"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_console_rt_thread
{
    meta:
        id = "mcu-console-rt-thread"
        description = "console: RT-Thread shell (FinSH)"
        severity = "info"
        reference = "RT-Thread components/finsh"
        topic = "console"
        says = "RT-Thread shell (FinSH)"
        state = "unknown"
    strings:
        $s1 = "msh />"
        $s2 = "msh >"
        $s3 = "finsh />"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_console_esp_idf
{
    meta:
        id = "mcu-console-esp-idf"
        description = "console: ESP-IDF console"
        severity = "info"
        reference = "ESP-IDF esp_console_repl"
        topic = "console"
        says = "ESP-IDF console"
        state = "unknown"
    strings:
        $s1 = "Your terminal application does not support escape sequences."
        $s2 = "esp_console_cmd_register"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_console_freertos
{
    meta:
        id = "mcu-console-freertos"
        description = "console: FreeRTOS+CLI"
        severity = "info"
        reference = "FreeRTOS+CLI FreeRTOS_CLI.c"
        topic = "console"
        says = "FreeRTOS+CLI"
        state = "unknown"
    strings:
        $s1 = "Command not recognised.  Enter 'help' to view a list of available commands."
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_console_python
{
    meta:
        id = "mcu-console-python"
        description = "console: Python prompt"
        severity = "info"
        reference = "MicroPython, CircuitPython"
        topic = "console"
        says = "Python prompt"
        state = "unknown"
    strings:
        $s1 = "Type \"help()\" for more information."
        $s2 = "raw REPL; CTRL-B to exit"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_console_at
{
    meta:
        id = "mcu-console-at"
        description = "console: AT command interpreter"
        severity = "info"
        reference = "ESP-AT command set"
        topic = "console"
        says = "AT command interpreter"
        state = "unknown"
    strings:
        $s1 = "AT version:"
        $s2 = "+CWJAP:"
    condition:
        uint32(0) != 0x464c457f and all of them
}

rule mcu_console_gdb
{
    meta:
        id = "mcu-console-gdb"
        description = "console: debugger stub after a crash"
        severity = "info"
        reference = "ESP-IDF esp_gdbstub"
        topic = "console"
        says = "debugger stub after a crash"
        state = "unknown"
    strings:
        $s1 = "Entering gdb stub now."
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_console_dump
{
    meta:
        id = "mcu-console-dump"
        description = "console: memory is printed after a crash (core dump)"
        severity = "info"
        reference = "ESP-IDF espcoredump, CONFIG_ESP_COREDUMP_ENABLE_TO_UART"
        topic = "console"
        says = "memory is printed after a crash (core dump)"
    strings:
        $s1 = "================= CORE DUMP START"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_console_telnet
{
    meta:
        id = "mcu-console-telnet"
        description = "console: telnet server in the code"
        severity = "info"
        reference = "NuttX telnetd; Arduino TelnetSpy, TelnetStream"
        topic = "console"
        says = "telnet server in the code"
        state = "unknown"
    strings:
        $s1 = "telnetd"
        $s2 = "TelnetSpy"
        $s3 = "TelnetStream"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_sdk_arduino_esp8266
{
    meta:
        id = "mcu-sdk-arduino-esp8266"
        description = "framework: Arduino core for ESP8266"
        severity = "info"
        reference = "Arduino core for ESP8266"
        topic = "framework"
        says = "Arduino core for ESP8266"
        component = "arduino-esp8266"
    strings:
        $s1 = "core_esp8266_main.cpp"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_sdk_arduino_esp32
{
    meta:
        id = "mcu-sdk-arduino-esp32"
        description = "framework: Arduino core for ESP32"
        severity = "info"
        reference = "Arduino core for ESP32"
        topic = "framework"
        says = "Arduino core for ESP32"
        component = "arduino-esp32"
    strings:
        $s1 = "framework-arduinoespressif32"
        $s2 = "arduino-lib-builder"
        $s4 = "hardware/esp32/"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_sdk_tasmota
{
    meta:
        id = "mcu-sdk-tasmota"
        description = "framework: Tasmota"
        severity = "info"
        reference = "Tasmota"
        topic = "framework"
        says = "Tasmota"
        component = "tasmota"
    strings:
        $s1 = "Tasmota %s by Theo Arends"
        $s2 = "TASMOTA_DGR"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_sdk_esphome
{
    meta:
        id = "mcu-sdk-esphome"
        description = "framework: ESPHome"
        severity = "info"
        reference = "ESPHome"
        topic = "framework"
        says = "ESPHome"
        component = "esphome"
    strings:
        $s1 = "ESPHome version "
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_sdk_mongoose_os
{
    meta:
        id = "mcu-sdk-mongoose-os"
        description = "framework: Mongoose OS"
        severity = "info"
        reference = "Mongoose OS"
        topic = "framework"
        says = "Mongoose OS"
        component = "mongoose_os"
    strings:
        $s1 = "mgos_init"
        $s2 = "mgos_sys_config"
        $s3 = "Mongoose OS "
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_sdk_espurna
{
    meta:
        id = "mcu-sdk-espurna"
        description = "framework: ESPurna"
        severity = "info"
        reference = "ESPurna"
        topic = "framework"
        says = "ESPurna"
        component = "espurna"
    strings:
        $s1 = "ESPURNA"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_sdk_openbeken
{
    meta:
        id = "mcu-sdk-openbeken"
        description = "framework: OpenBeken"
        severity = "info"
        reference = "OpenBeken"
        topic = "framework"
        says = "OpenBeken"
        component = "openbeken"
    strings:
        $s1 = "OpenBK7"
        $s2 = "OpenBL602"
        $s3 = "OpenW800"
        $s4 = "OpenXR809"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_sdk_tuya
{
    meta:
        id = "mcu-sdk-tuya"
        description = "framework: TuyaOS"
        severity = "info"
        reference = "TuyaOS, Tuya IoT SDK"
        topic = "framework"
        says = "TuyaOS"
        component = "tuya_iot_sdk"
    strings:
        $s1 = "TUYA IOT SDK V"
        $s2 = "tuya_iot_init"
        $s3 = "tuya_os_adapt"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_sdk_micropython
{
    meta:
        id = "mcu-sdk-micropython"
        description = "framework: MicroPython"
        severity = "info"
        reference = "MicroPython"
        topic = "framework"
        says = "MicroPython"
        component = "micropython"
    strings:
        $s1 = "MicroPython v"
        $s2 = "raw REPL; CTRL-B to exit"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_sdk_rt_thread
{
    meta:
        id = "mcu-sdk-rt-thread"
        description = "SDK: RT-Thread"
        severity = "info"
        reference = "RT-Thread kservice.c, rt_show_version()"
        topic = "SDK"
        says = "RT-Thread"
        component = "rt-thread"
    strings:
        $s1 = "Thread Operating System"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_sdk_mbed
{
    meta:
        id = "mcu-sdk-mbed"
        description = "SDK: Mbed OS"
        severity = "info"
        reference = "Mbed OS platform/mbed_error.c"
        topic = "SDK"
        says = "Mbed OS"
        component = "mbed_os"
    strings:
        $s1 = "++ MbedOS Error Info ++"
        $s2 = "++ MbedOS Fault Handler ++"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_sdk_freertos
{
    meta:
        id = "mcu-sdk-freertos"
        description = "SDK: FreeRTOS"
        severity = "info"
        reference = "FreeRTOS configTIMER_SERVICE_TASK_NAME"
        topic = "SDK"
        says = "FreeRTOS"
        component = "freertos"
    strings:
        $s1 = "Tmr Svc"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_sdk_beken
{
    meta:
        id = "mcu-sdk-beken"
        description = "SDK: Beken SDK"
        severity = "info"
        reference = "Beken BDK"
        topic = "SDK"
        says = "Beken SDK"
    strings:
        $s1 = "beken378"
        $s3 = "bk_wlan_"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_sdk_ameba
{
    meta:
        id = "mcu-sdk-ameba"
        description = "SDK: Realtek Ameba SDK"
        severity = "info"
        reference = "Realtek Ameba SDK"
        topic = "SDK"
        says = "Realtek Ameba SDK"
        component = "realtek_ameba_sdk"
    strings:
        $s1 = "rtl8710"
        $s3 = "LwIP_DHCP"
    condition:
        uint32(0) != 0x464c457f and all of them
}

rule mcu_sdk_bouffalo
{
    meta:
        id = "mcu-sdk-bouffalo"
        description = "SDK: Bouffalo SDK"
        severity = "info"
        reference = "Bouffalo Lab bl_iot_sdk, bouffalo_sdk"
        topic = "SDK"
        says = "Bouffalo SDK"
        component = "bl_iot_sdk"
    strings:
        $s1 = "bl_iot_sdk"
        $s2 = "bouffalo_sdk"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_sdk_simplelink
{
    meta:
        id = "mcu-sdk-simplelink"
        description = "SDK: TI SimpleLink SDK"
        severity = "info"
        reference = "TI SimpleLink SDK paths"
        topic = "SDK"
        says = "TI SimpleLink SDK"
        component = "simplelink_sdk"
    strings:
        $s1 = "simplelink_cc"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_sdk_stm32cube
{
    meta:
        id = "mcu-sdk-stm32cube"
        description = "SDK: STM32Cube"
        severity = "info"
        reference = "STM32Cube paths"
        topic = "SDK"
        says = "STM32Cube"
        component = "stm32cube"
    strings:
        $s1 = "STM32Cube_FW_"
        $s2 = "stm32f4xx_hal_"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_cloud_aws
{
    meta:
        id = "mcu-cloud-aws"
        description = "cloud service: AWS IoT"
        severity = "info"
        reference = "AWS IoT Core"
        topic = "cloud service"
        says = "AWS IoT"
    strings:
        $s1 = "$aws/things/"
        $s2 = ".amazonaws.com"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_cloud_azure
{
    meta:
        id = "mcu-cloud-azure"
        description = "cloud service: Azure IoT"
        severity = "info"
        reference = "Azure IoT Hub"
        topic = "cloud service"
        says = "Azure IoT"
    strings:
        $s1 = ".azure-devices.net"
        $s2 = "azure-devices-provisioning.net"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_cloud_aliyun
{
    meta:
        id = "mcu-cloud-aliyun"
        description = "cloud service: Alibaba Cloud IoT"
        severity = "info"
        reference = "Alibaba Cloud IoT"
        topic = "cloud service"
        says = "Alibaba Cloud IoT"
    strings:
        $s1 = ".iot-as-mqtt."
        $s2 = "iot-as-http"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_cloud_tuya
{
    meta:
        id = "mcu-cloud-tuya"
        description = "cloud service: Tuya"
        severity = "info"
        reference = "Tuya"
        topic = "cloud service"
        says = "Tuya"
    strings:
        $s1 = ".tuyacn.com"
        $s2 = ".tuyaus.com"
        $s3 = ".tuyaeu.com"
        $s4 = ".tuyain.com"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_cloud_others
{
    meta:
        id = "mcu-cloud-others"
        description = "cloud service: a vendor's cloud"
        severity = "info"
        reference = "eWeLink, Shelly, Xiaomi, Blynk, Tuya, Hue, Particle"
        topic = "cloud service"
        says = "a vendor's cloud"
    strings:
        $s1 = "coolkit.cn"
        $s2 = "shelly.cloud"
        $s3 = "ot.io.mi.com"
        $s4 = "blynk.cloud"
        $s5 = "blynk-cloud.com"
        $s6 = "iotbing.com"
        $s7 = "meethue.com"
        $s8 = "particle.io"
    condition:
        uint32(0) != 0x464c457f and any of them
}

rule mcu_verify_module_off
{
    meta:
        id = "mcu-verify-module-off"
        description = "server check: the radio module is told not to verify servers"
        severity = "medium"
        reference = "AT command manuals: Quectel QSSLCFG seclevel, SIMCom CSSLCFG authmode, ESP-AT CIPSSLCCONF, u-blox USECPRF, Telit SSLSECCFG"
        topic = "server check"
        says = "the radio module is told to verify no server"
        state = "no"
    strings:
        $r1 = /AT\+QSSLCFG="seclevel",[ ]?(%d|[0-5]),[ ]?0[\x00-\x2b\x3b]/
        $r2 = /AT\+CSSLCFG="authmode",[ ]?(%d|[0-9]),[ ]?0[\x00-\x2b\x3b]/
        $r3 = /AT\+CIPSSLCCONF=0[\x00-\x2b]/
        $r4 = /AT\+USECPRF=(%d|[0-4]),0,0[\x00-\x2b]/
        $r5 = /AT#SSLSECCFG=(%d|[1-6]),[0-9]{1,2},0[\x00-\x2b]/
    condition:
        uint32(0) != 0x464c457f and any of them
}
