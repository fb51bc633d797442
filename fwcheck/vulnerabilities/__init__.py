"""Component versions to what is known against them, offline."""
