"""Shell scripts of boot processes: parsed, and followed as far as the image decides what they do."""
