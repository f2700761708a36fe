"""Sound comes in: sources, captured and watched, as blocks of mono 32 kHz in a bounded ring."""
