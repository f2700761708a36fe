"""The face: what ears tell, brought to the people's devices, kept, and found again."""
