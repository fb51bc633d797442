"""What several tests need: firmware trees built in memory."""
