"""What makes a slot serve an entry: pure decisions, and one loop per slot that carries them out."""
