"""One content to its facts."""
