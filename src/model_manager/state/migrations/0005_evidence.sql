-- What the platform showed when an attempt failed: the pods of a failed switch are gone a moment later.

ALTER TABLE activations ADD COLUMN evidence TEXT NOT NULL DEFAULT '{}';  -- JSON object
