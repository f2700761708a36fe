"""What captioning costs on this machine."""
