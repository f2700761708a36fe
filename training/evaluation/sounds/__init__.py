"""What is listened to."""
