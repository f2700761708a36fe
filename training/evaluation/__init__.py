"""What a bundle is worth on sounds that it never heard: one file a question, one command for all."""
