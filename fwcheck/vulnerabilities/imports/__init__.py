"""What a user carries to the machine: feeds and documents of other publishers, read into the knowledge file."""
