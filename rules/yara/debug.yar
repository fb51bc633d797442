// Development and factory access left in a product.

rule debug_command_page
{
    meta:
        id = "debug-command-page"
        description = "web handler that runs a command line typed into a page"
        severity = "high"
        reference = "Realtek and Ralink reference firmware; CVE-2015-9551 for one product"
    strings:
        $realtek = "formSysCmd" fullword
        $ralink = "goform/SystemCommand"
        $ralink_page = "adm/system_command.asp"
    condition:
        any of them
}

rule debug_tplink_page
{
    meta:
        id = "debug-tplink-page"
        description = "hidden debug pages of TP-Link routers with an account of their own"
        severity = "high"
        reference = "TP-Link DebugResultRpm.htm with user osteam, published 2016"
    strings:
        $page = "DebugResultRpm.htm"
        $user = "osteam" fullword
    condition:
        all of them
}

rule debug_netgear_telnetenable
{
    meta:
        id = "debug-netgear-telnetenable"
        description = "service that starts telnetd for a magic packet made with a known key"
        severity = "high"
        reference = "Netgear telnetenable; CVE-2009-0052 lists related devices"
    strings:
        $key = "AMBIT_TELNET_ENABLE+"
    condition:
        $key
}

rule debug_gdbserver
{
    meta:
        id = "debug-gdbserver"
        description = "remote debugger gdbserver in the image"
        severity = "medium"
        reference = "gdbserver(1)"
    strings:
        $usage = "gdbserver [OPTIONS] "
        $banner = "GNU gdbserver "
    condition:
        uint32(0) == 0x464c457f and any of them
}

rule debug_adb_enabled
{
    meta:
        id = "debug-adb-enabled"
        description = "Android debug bridge enabled, or open without a key, by default"
        severity = "high"
        reference = "Android system properties ro.adb.secure, persist.sys.usb.config, service.adb.tcp.port"
    strings:
        $insecure = /(^|\n)[ \t]*ro\.adb\.secure=0/
        $usb = /(^|\n)[ \t]*persist\.sys\.usb\.config=[a-z_,]{0,40}adb/
        $tcp = /(^|\n)[ \t]*(persist\.)?(service\.)?adb\.tcp\.port=[1-9]/
    condition:
        any of them
}

rule debug_android_engineering_build
{
    meta:
        id = "debug-android-engineering-build"
        description = "Android built as an engineering or debuggable image"
        severity = "medium"
        reference = "Android system properties ro.build.type, ro.debuggable"
    strings:
        $type = /(^|\n)ro\.build\.type=eng\b/
        $debuggable = /(^|\n)ro\.debuggable=1/
    condition:
        any of them
}

rule debug_shell_as_init
{
    meta:
        id = "debug-shell-as-init"
        description = "kernel command line that starts a shell in place of init"
        severity = "critical"
        reference = "Linux kernel parameters, init="
    strings:
        $command = /(console|root|rootfstype|mtdparts)=[^\n\x00]{1,300} init=\/bin\/(sh|ash|bash)\b/
    condition:
        $command
}

rule debug_console_shell
{
    meta:
        id = "debug-console-shell"
        description = "inittab that keeps a shell open on a console without a login"
        severity = "high"
        reference = "BusyBox inittab, actions respawn and askfirst"
    strings:
        $shell = /(^|\n)[A-Za-z0-9]{0,12}:[0-9]{0,8}:(respawn|askfirst):-?\/bin\/(sh|ash|bash)\b/
    condition:
        $shell
}

rule debug_telnet_from_program
{
    meta:
        id = "debug-telnet-from-program"
        description = "program that holds a command line for starting telnetd"
        severity = "low"
        reference = "telnetd(8), BusyBox telnetd"
    strings:
        $options = /telnetd -[lpbF][ \/]?[\/A-Za-z0-9%]/
        $background = /telnetd ?&\x00/
    condition:
        uint32(0) == 0x464c457f and any of them
}
