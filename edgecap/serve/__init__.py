"""The face: what reads the wires of one or many ears, keeps what was heard, and shows it to people."""
