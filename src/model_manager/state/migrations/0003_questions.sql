-- What the history can be asked beside kind and subject: who did it, and since when.

CREATE INDEX events_by_actor ON events (actor, seq);
CREATE INDEX events_by_time ON events (time);
