"""From tree and facts to what the device would do."""
