"""What is learnt from: clips and public corpora, as they lie on a disk."""
