"""HTTP/1.1 to model servers: small, pooled, cancellable. Knows nothing of models, slots or tokens."""
