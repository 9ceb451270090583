"""Model files on the volume: planned, moved, verified, published. The only room that talks to a model hub."""
