"""What developing needs and the package does not carry."""
