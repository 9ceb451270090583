-- Tokens that were issued, and answers kept for clients that ask the same thing again.

CREATE TABLE tokens (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    scope      TEXT NOT NULL CHECK (scope IN ('admin', 'read', 'chat')),
    models     TEXT,                            -- JSON list of model ids it may ask, NULL: all
    hash       BLOB NOT NULL UNIQUE,            -- SHA-256: the token itself is 256 random bits and never stored
    created_at TEXT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at TEXT,
    last_used  TEXT,
    revoked_at TEXT
) STRICT;

CREATE TABLE answers (                          -- of requests with an Idempotency-Key
    actor      TEXT NOT NULL,
    key        TEXT NOT NULL,
    request    TEXT NOT NULL,                   -- SHA-256 of method, path and body: a key is for one request
    status     INTEGER,                         -- NULL while the first request is being answered
    headers    TEXT,                            -- JSON object
    body       BLOB,
    created_at TEXT NOT NULL,
    PRIMARY KEY (actor, key)
) STRICT;
CREATE INDEX answers_by_age ON answers (created_at);
