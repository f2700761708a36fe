"""One file a question; each a function of the context, and gives figures."""
