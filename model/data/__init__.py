"""What training and service both read or draw."""
