// What firmware of microcontrollers says of itself: updates over the air, TLS libraries, endpoints in clear. Facts, no findings:
// the device model decides what they mean. Plain texts and expressions with a rare beginning only.

rule mcu_update_over_the_air
{
    meta:
        id = "mcu-update-over-the-air"
        description = "the firmware speaks of updating itself over the air"
        severity = "info"
        reference = "ESP-IDF esp_ota_ops.h and esp_https_ota.h, Zephyr dfu/mcuboot.h, Arduino Update and ESP8266httpUpdate, Tuya, Nordic, Realtek"
    strings:
        $esp1 = "esp_ota_ops"
        $esp2 = "esp_https_ota"
        $esp3 = "esp_ota_begin"
        $esp4 = "esp_ota_set_boot_partition"
        $zephyr1 = "boot_request_upgrade"
        $zephyr2 = "mcuboot_util"
        $zephyr3 = "img_mgmt"
        $zephyr4 = "updatehub"
        $zephyr5 = "hawkbit"
        $arduino1 = "ESP8266-http-Update"
        $arduino2 = "ESP32-http-Update"
        $arduino3 = "x-ESP8266-sketch-md5"
        $arduino4 = "x-ESP32-sketch-md5"
        $arduino5 = "ArduinoOTA"
        $tuya = "tuya_ota" nocase
        $matter = "OTARequestor"
        $zigbee = "zb_ota" nocase
        $ota1 = "OTA update" nocase
        $ota2 = "ota_update" nocase
        $ota3 = "OtaUrl"
        $ota4 = "ota_begin"
        $ota5 = "ota upgrade" nocase
        $ota6 = "ota_upgrade" nocase
        $ota7 = "firmware upgrade" nocase
        $ota8 = "firmware update" nocase
    condition:
        any of them
}

rule mcu_tls_library
{
    meta:
        id = "mcu-tls-library"
        description = "a TLS library is linked in"
        severity = "info"
        reference = "error and debug texts of mbed TLS, wolfSSL, BearSSL and axTLS"
    strings:
        $mbed1 = "mbedtls_ssl_"
        $mbed2 = "ssl_tls.c"
        $mbed3 = "x509_crt.c"
        $mbed4 = "esp-tls"
        $mbed5 = "esp_tls"
        $wolf1 = "wolfSSL"
        $wolf2 = "CyaSSL"
        $bear1 = "BearSSL"
        $bear2 = "BR_ERR_"
        $ax = "axTLS"
        $tinydtls = "tinydtls"
        $matrix = "MatrixSSL"
    condition:
        any of them
}

rule mcu_endpoint_in_clear
{
    meta:
        id = "mcu-endpoint-in-clear"
        description = "address of a message broker without encryption"
        severity = "medium"
        reference = "MQTT and CoAP URI schemes (RFC 7252; OASIS MQTT 5.0)"
    strings:
        $mqtt = /mqtt:\/\/[A-Za-z0-9][A-Za-z0-9.-]{2,80}\.[a-z]{2,12}/
        $coap = /coap:\/\/[A-Za-z0-9][A-Za-z0-9.-]{2,80}\.[a-z]{2,12}/
        $tcp = /ws:\/\/[A-Za-z0-9][A-Za-z0-9.-]{2,80}\.[a-z]{2,12}/
    condition:
        any of them
}
