"""The commands of U-Boot, by what they do for booting (doc/usage/cmd and cmd/ of U-Boot, versions 1.1 to 2024)."""

from __future__ import annotations

from typing import Final, Literal

# Commands that hand the processor over to other software.
STARTS: Final = frozenset({
    *("bootm", "bootz", "booti", "bootelf", "bootvx", "go", "bootefi", "sysboot", "pxe", "boota", "boot_android", "bootflow"),
    *("nboot", "usbboot", "bootmenu", "bootaux", "zboot", "imxtract_boot", "booti_android", "bootrk", "boot_fit", "bootipq"),
    *("source", "autoscr"),
})  # fmt: skip
# Those of them that start what they are given without looking at any hash or signature.
UNCHECKED: Final = frozenset({"bootz", "booti", "bootelf", "bootvx", "go", "zboot", "bootaux"})
# Commands that load from a network.
NETWORK: Final = frozenset({"tftp", "tftpboot", "dhcp", "bootp", "rarpboot", "nfs", "wget"})
_Origin = Literal["flash", "mmc", "disk", "network", "usb", "serial", "memory", "several"]
# Commands with a verb, by the kind of device they read.
FAMILIES: Final[dict[str, _Origin]] = {
    "sf": "flash", "nand": "flash", "onenand": "flash", "spi": "flash", "mtd": "flash", "ubi": "flash", "mmc": "mmc",
    "usb": "usb", "ide": "disk", "sata": "disk", "scsi": "disk", "nvme": "disk", "virtio": "disk", "snand": "flash",
    "spinand": "flash", "sunxi_flash": "flash", "flash": "flash", "rksfc": "flash", "nor": "flash", "emmc": "mmc",
}  # fmt: skip
# Commands that load by themselves.
LOADS: Final[dict[str, _Origin]] = {
    "load": "memory", "fatload": "memory", "ext2load": "memory", "ext4load": "memory", "fsload": "flash", "ubifsload": "flash",
    "sqfsload": "memory", "loadb": "serial", "loady": "serial", "loadx": "serial", "loads": "serial", "zfsload": "memory",
    "cp": "flash", "unzip": "memory", "lzmadec": "memory", "chpart": "flash", "imxtract": "memory", "cramfsload": "flash",
    "jffs2load": "flash", "diskboot": "disk", "axi_load": "memory",
}  # fmt: skip
# Commands that set variables named in their words to what the running device finds.
SETTERS: Final = frozenset({"setexpr", "part", "fsuuid", "askenv", "read", "bcb", "hash", "sha1sum", "sha256sum", "md5sum"})
KNOWN: Final = frozenset({
    *STARTS, *NETWORK, *FAMILIES, *LOADS, *SETTERS,
    *("echo", "sleep", "saveenv", "printenv", "env", "setenv", "run", "test", "itest", "reset", "version", "help", "bdinfo"),
    *("coninfo", "iminfo", "imi", "imls", "iminfo", "crc32", "base", "loop", "mm", "mw", "nm", "md", "cmp", "mtest", "protect"),
    *("erase", "flinfo", "ping", "mii", "mdio", "setup", "fdt", "gpio", "i2c", "led", "mtdparts", "ubifsmount", "ubifsumount"),
    *("ls", "fatls", "ext2ls", "ext4ls", "fatinfo", "fatsize", "fatwrite", "ext4write", "size", "save", "fstype", "fstypes"),
    *("gpt", "mbr", "dm", "regulator", "pmic", "bmp", "lcdputs", "cls", "splash", "true", "false", "exit", "showvar", "date"),
    *("bootcount", "altbootcmd", "bootstage", "bootretry", "cpu", "dcache", "icache", "clocks", "clk", "dfu", "ums", "fastboot"),
    *("tpm", "tpm2", "efidebug", "bootdev", "bootmeth", "blkcache", "cbfsinit", "cbfsload", "chpart"),
    *("grepenv", "editenv", "usbboot", "wdt", "rng", "random", "adc", "button", "while", "if", "for", "then", "else", "fi"),
    *("dhcp6", "ping6", "sntp", "dns", "linklocal", "setcurs", "lcd", "video", "vbe", "poweroff", "halt", "pci", "sdp", "spl"),
    *("fuse", "mux", "remoteproc", "rproc", "smc", "hvc", "panic", "unlz4", "lzmadec", "gzwrite", "zip", "strings", "ini"),
    *("abootimg", "adtimg", "ab_select", "bootdelay", "mmcinfo", "mmcinit", "usbtest", "ut", "kaslrseed", "extension", "x"),
})  # fmt: skip
