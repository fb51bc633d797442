"""Update paths of shell scripts followed: what brings software in, what checks it, what writes it."""
