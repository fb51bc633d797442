"""What the configuration of each known daemon says: one file per family of daemons, found by listing this package.

To add a daemon, add a file with ``NAMES`` (program names) and ``read(start)`` (a :class:`~.reading.Reading`). The docstring names
the manual page that the syntax and the defaults come from.
"""
