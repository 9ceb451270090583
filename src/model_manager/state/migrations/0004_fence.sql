-- Which of several services may write: the one that came with the greatest token.

CREATE TABLE fence (
    one   INTEGER PRIMARY KEY CHECK (one = 1),  -- a single row
    token INTEGER NOT NULL
) STRICT;
INSERT INTO fence VALUES (1, 0);
