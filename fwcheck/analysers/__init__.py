"""Device and facts to findings, one file per concern."""
