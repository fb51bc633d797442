// What a boot loader was built with: texts of its checks. Present does not say that a check is demanded.

rule boot_fit_signature
{
    meta:
        id = "boot-fit-signature"
        description = "boot loader that can insist on the signature of a FIT image (CONFIG_FIT_SIGNATURE)"
        severity = "info"
        reference = "U-Boot doc/usage/fit/signature.rst, boot/image-fit-sig.c"
    strings:
        $required = "Failed to verify required signature"
    condition:
        any of them
}

rule boot_image_checks
{
    meta:
        id = "boot-image-checks"
        description = "boot loader that checks sums of legacy or FIT images"
        severity = "info"
        reference = "U-Boot boot/image.c, boot/image-fit.c"
    strings:
        $legacy = "Bad Data CRC"
        $fit = "Verifying Hash Integrity"
    condition:
        any of them
}

rule boot_avb
{
    meta:
        id = "boot-avb"
        description = "boot loader with the library of Android Verified Boot 2.0"
        severity = "info"
        reference = "external/avb libavb/avb_slot_verify.c"
    strings:
        $source = "avb_slot_verify.c"
        $word = "androidboot.vbmeta.digest"
    condition:
        any of them
}

rule boot_mcuboot
{
    meta:
        id = "boot-mcuboot"
        description = "code of MCUboot"
        severity = "info"
        reference = "MCUboot boot/bootutil/src/loader.c, boot/zephyr/main.c"
    strings:
        $slot = "Image in the %s slot is not valid!"
        $start = "Unable to find bootable image"
        $slots = "Image %d upgrade secondary slot -> primary slot"
    condition:
        any of them
}

rule boot_rom_authentication
{
    meta:
        id = "boot-rom-authentication"
        description = "boot loader that asks the ROM or security firmware to verify images"
        severity = "info"
        reference = "U-Boot arch/arm/mach-imx/hab.c, ahab.c; drivers of secure monitors"
    strings:
        $hab = "hab_auth_img"
        $hab_text = "Authenticate image from DDR location"
        $ahab = "auth_cntr"
        $esbc = "esbc_validate"
    condition:
        any of them
}
