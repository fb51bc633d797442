"""What a process that touches an image may still do: the kernel is asked to hold it to that (Landlock, seccomp), for good."""

from fwcheck.sandbox.enter import Permissions, Sandboxed, enter, gaps, probe

__all__ = ["Permissions", "Sandboxed", "enter", "gaps", "probe"]
