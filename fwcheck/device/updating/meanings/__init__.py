"""What functions of Lua, PHP, Python and Perl mean for an update: one handler for each kind of meaning."""
