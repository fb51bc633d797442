"""Second opinions: other extractors, where they are installed, are asked about what stayed unknown."""
