"""One file a paper: how it trains, as published."""
