"""How near one sentence is to others."""
