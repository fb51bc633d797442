"""The HTTP API. Handlers are thin: who may do it, what is asked, and one call of a domain function."""
