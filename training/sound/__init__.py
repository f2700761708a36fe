"""How a scene is made of them: recordings, signals, rooms, and the words for it."""
