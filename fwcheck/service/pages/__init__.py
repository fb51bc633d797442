"""Pages for people: rendered here, with a light script that they work without."""
