"""What is heard: samples become log-mel frames, embeddings, alarms, and segments of one situation each."""
