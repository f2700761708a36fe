"""One YAML file, checked key by key."""
