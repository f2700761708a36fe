"""What it hears and speaks with: a bundle's manifest and files, and the engines that run its graphs."""
