"""Who can reach a listener: the shipped firewall rules, in each language they are written in, and the networks of the device."""
