"""Lua, PHP, Python and Perl brought into one small form, by the grammars of tree-sitter."""
