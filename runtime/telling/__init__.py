"""Whom it is told: messages on the wire, to terminals and to readers."""
