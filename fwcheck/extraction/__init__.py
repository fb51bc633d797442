"""From bytes to a tree of nodes, with every byte accounted for."""
