"""A built-in scene, for where there is no microphone."""
