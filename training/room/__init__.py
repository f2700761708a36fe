"""The room model's own stages, in their order."""
