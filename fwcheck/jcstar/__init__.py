"""The JC-STAR catalogue and the mapper that scores findings against it."""
