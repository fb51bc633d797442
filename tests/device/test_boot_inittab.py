"""Inits that read /etc/inittab: busybox, System V init, procd; the scripts of runlevels in their usual shapes."""

from __future__ import annotations

import pytest
from support.trees import Link, firmware_of

from fwcheck.device.boot import Boot, boots

_ELF = b"\x7fELF" + bytes(60)


def boot_of(files: dict[str, bytes | str], *, busybox: bool = False) -> Boot:
    tree: dict[str, bytes | str] = {
        "/bin/busybox": _ELF,
        "/sbin/init": Link("../bin/busybox") if busybox else _ELF,
        "/bin/sh": Link("busybox"),
        "/lib/x": "",
        "/dev/x": "",
    }
    tree |= {f"/usr/sbin/{name}": _ELF for name in ("telnetd", "dropbear", "httpd")}
    (boot,) = boots(firmware_of(tree | files))
    return boot


def started(boot: Boot) -> list[str]:
    return [run.name for run in boot.runs if not run.conditions]


@pytest.mark.parametrize(
    ("inittab", "names"),
    [
        ("id:3:initdefault:\nt:5:respawn:/usr/sbin/telnetd -F\n", []),
        ("id:3:initdefault:\nt:35:respawn:/usr/sbin/telnetd -F\n", ["telnetd"]),
        ("t:5:respawn:/usr/sbin/telnetd -F\nid:5:initdefault:\n", ["telnetd"]),
        ("id:3:initdefault:\nt:5:sysinit:/usr/sbin/telnetd\n", ["telnetd"]),
        ("id:3:initdefault:\nt::respawn:/usr/sbin/telnetd -F\n", ["telnetd"]),
        ("id:3:initdefault:\na:3:wait:/usr/sbin/httpd\nb:3:once:/usr/sbin/telnetd\n", ["httpd", "telnetd"]),
        ("id:3:initdefault:\nt:3:ondemand:/usr/sbin/telnetd\np:3:powerfail:/usr/sbin/httpd\n", []),
    ],
)
def test_system_v_runlevels(inittab: str, names: list[str]) -> None:
    boot = boot_of({"/etc/inittab": inittab})
    assert (boot.kind, started(boot)) == ("sysv", names)


def test_busybox_ignores_runlevels() -> None:
    boot = boot_of({"/etc/inittab": "id:3:initdefault:\nt:5:respawn:/usr/sbin/telnetd -F\n"}, busybox=True)
    assert (boot.kind, started(boot)) == ("busybox", ["telnetd"])


_BUILDROOT = """#!/bin/sh
# Start all init scripts in /etc/init.d, in numerical order
for i in /etc/init.d/S??* ;do
\t[ ! -f "$i" ] && continue
\tcase "$i" in
\t*.sh)
\t\t(
\t\ttrap - INT QUIT TSTP
\t\tset start
\t\t. $i
\t\t)
\t\t;;
\t*)
\t\t$i start
\t\t;;
\tesac
done
"""
_YOCTO_RC = """#!/bin/sh
. /etc/default/rcS
export VERBOSE
startup() {
  [ "$VERBOSE" = very ] && echo "INIT: Running $@..."
  case "$1" in
	*.sh) sh "$@" ;;
	*) "$@" ;;
  esac
}
  umask 022
  runlevel=$RUNLEVEL
  [ "$1" != "" ] && runlevel=$1
  if [ "$runlevel" = "" ]
  then
	echo "Usage: $0 <runlevel>" >&2
	exit 1
  fi
  previous=$PREVLEVEL
  [ "$previous" = "" ] && previous=N
  export runlevel previous
  if [ -d /etc/rc$runlevel.d ]
  then
	if [ $previous != N ]
	then
		for i in /etc/rc$runlevel.d/K[0-9][0-9]*
		do
			[ ! -f $i ] && continue
			startup $i stop
		done
	fi
	for i in /etc/rc$runlevel.d/S*
	do
		[ ! -f $i ] && continue
		if [ $previous != N -a $previous != S ]
		then
			suffix=${i#/etc/rc$runlevel.d/S[0-9][0-9]}
			stop=/etc/rc$runlevel.d/K[0-9][0-9]$suffix
			[ -f $stop ] || continue
		fi
		startup $i start
	done
  fi
"""
_SSH = """#!/bin/sh
DAEMON=/usr/sbin/dropbear
PIDFILE=/var/run/dropbear.pid
[ -r /etc/default/dropbear ] && . "/etc/default/dropbear"
start() {
	printf 'Starting dropbear sshd: '
	umask 077
	start-stop-daemon -S -q -p $PIDFILE --exec $DAEMON -- $DROPBEAR_ARGS
	[ $? = 0 ] && echo "OK" || echo "FAIL"
}
case "$1" in
  start) start ;;
  stop) start-stop-daemon -K -q -p $PIDFILE ;;
  restart|reload) start ;;
  *) exit 1
esac
"""


_RCS = "::sysinit:/etc/rcS\n"
_RC_SH = "/etc/rcS"
SHAPES: dict[str, tuple[str, dict[str, bytes | str]]] = {
    "Buildroot": ("::sysinit:/etc/init.d/rcS\n", {"/etc/init.d/rcS": _BUILDROOT, "/etc/init.d/S50dropbear": _SSH}),
    "Yocto": (
        "id:5:initdefault:\nsi::sysinit:/etc/init.d/rcS\nl5:5:wait:/etc/init.d/rc 5\n",
        {
            "/etc/init.d/rcS": "#!/bin/sh\nexec /etc/init.d/rc S\n",
            "/etc/init.d/rc": _YOCTO_RC,
            "/etc/default/rcS": "VERBOSE=no\n",
            "/etc/init.d/dropbear": _SSH,
            "/etc/rc5.d/S10dropbear": Link("../init.d/dropbear"),
            "/etc/rc3.d/S10telnet": "#!/bin/sh\ntelnetd\n",
        },
    ),
    "sourced": (
        "::sysinit:/etc_ro/rcS\n",
        {"/etc_ro/rcS": "#!/bin/sh\nmount -a\n. /etc_ro/rc.d/net\n", "/etc_ro/rc.d/net": "dropbear -F &\n"},
    ),
    "run-parts": ("::sysinit:run-parts /etc/rc.d\n", {"/etc/rc.d/10-ssh": _SSH.replace('"$1"', "start")}),
    "vendor directory": (
        "::sysinit:/app/init\n",
        {"/app/init": "#!/bin/sh\ncd /app\n./net/start.sh &\n", "/app/net/start.sh": "#!/bin/sh\ndropbear\n"},
    ),
    "levels": (
        "::sysinit:/etc/rc\n",
        {
            "/etc/rc": "#!/bin/sh\nfor level in boot net; do\n"
            "  for s in $(ls /etc/rc.d/$level); do sh /etc/rc.d/$level/$s; done\ndone\n",
            "/etc/rc.d/net/ssh": "dropbear\n",
        },
    ),
    "list": (
        _RCS,
        {_RC_SH: "#!/bin/sh\nwhile read -r s; do $s; done < /etc/services\n", "/etc/services": "true\ndropbear\n"},
    ),
    "bash": (
        _RCS,
        {
            _RC_SH: '#!/bin/bash\nif [[ "$(cat /etc/model)" == cam* && -x /usr/sbin/dropbear ]]; then dropbear; fi\n',
            "/etc/model": "cam1\n",
        },
    ),
    "here-document": (
        _RCS,
        {_RC_SH: "#!/bin/sh\ncat > /tmp/go.sh <<EOF\n#!/bin/sh\ndropbear -p 2\nEOF\nchmod +x /tmp/go.sh\n/tmp/go.sh\n"},
    ),
    "until": (_RCS, {_RC_SH: "#!/bin/sh\ni=0\nuntil [ $i -eq 3 ]; do i=$((i+1)); [ $i = 2 ] && dropbear; done\n"}),
    "pidof": (_RCS, {_RC_SH: "#!/bin/sh\npidof dropbear >/dev/null || dropbear\n"}),
    "process id file": (_RCS, {_RC_SH: "#!/bin/sh\n[ -f /var/run/dropbear.pid ] && exit 0\ndropbear\n"}),
    "getopts": (
        _RCS,
        {_RC_SH: "#!/bin/sh\nset -- -a x -b\nwhile getopts a:b o; do case $o in b) dropbear;; esac; done\n"},
    ),
}


@pytest.mark.parametrize("shape", sorted(SHAPES))
@pytest.mark.parametrize("busybox", [True, False])
def test_start_scripts_of_every_shape(shape: str, busybox: bool) -> None:
    inittab, files = SHAPES[shape]
    assert started(boot_of({"/etc/inittab": inittab} | files, busybox=busybox)) == ["dropbear"]


def test_a_loop_that_may_break_is_no_certain_way_to_what_comes_after() -> None:
    script = "#!/bin/sh\nfor i in 1 2; do\n  [ -e /dev/flag ] && break\n  httpd\ndone\n"
    runs = [run for run in boot_of({"/etc/inittab": "::sysinit:/etc/rcS\n", "/etc/rcS": script}).runs if run.name == "httpd"]
    assert runs
    assert all(run.conditions for run in runs)
