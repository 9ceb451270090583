"""Model files on the volume: planned, moved, verified, published. The only room that may talk to a model hub."""
