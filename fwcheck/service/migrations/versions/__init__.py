"""One file for each change of the tables, named after what it brings."""
