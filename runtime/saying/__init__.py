"""What is said of it: a segment becomes sentences, and of those, caption events."""
