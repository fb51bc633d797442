"""The planted weaknesses by what they are about."""
