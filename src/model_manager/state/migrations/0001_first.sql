-- The first schema. Times are ISO 8601 in UTC; order is always by `seq`, never by time (clocks jump).

CREATE TABLE events (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice, also after pruning: it is the SSE id
    time    TEXT NOT NULL,
    kind    TEXT NOT NULL,
    subject TEXT NOT NULL,
    actor   TEXT NOT NULL,
    data    TEXT NOT NULL                       -- JSON object
) STRICT;
CREATE INDEX events_by_kind ON events (kind, seq);
CREATE INDEX events_by_subject ON events (subject, seq, kind);  -- `kind` is filtered without a look at the row

CREATE TABLE jobs (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    kind       TEXT NOT NULL,
    key        TEXT NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    payload    TEXT NOT NULL,                   -- JSON object, holds no secret
    result     TEXT,                            -- JSON object
    error      TEXT,                            -- JSON {code, sentence, hint}
    attempts   INTEGER NOT NULL DEFAULT 0,      -- starts so far
    crashes    INTEGER NOT NULL DEFAULT 0,      -- times the service died while it ran
    cancelling INTEGER NOT NULL DEFAULT 0,      -- a cancel was asked for and must survive a crash
    actor      TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;
-- Two submits of the same thing are one job: the file itself holds the promise.
CREATE UNIQUE INDEX jobs_unfinished ON jobs (kind, key) WHERE status IN ('pending', 'running');
CREATE INDEX jobs_by_status ON jobs (status, seq);

CREATE TABLE slots (
    name      TEXT PRIMARY KEY,
    desired   TEXT,                             -- an activation's id, or NULL: serve nothing
    last_good TEXT                              -- the latest activation that became active
) STRICT;

CREATE TABLE activations (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    slot        TEXT NOT NULL,
    model_id    TEXT NOT NULL,
    entry       TEXT NOT NULL,                  -- JSON of the catalog entry as it was
    entry_hash  TEXT NOT NULL,
    revision    TEXT NOT NULL,
    manifest    TEXT NOT NULL,                  -- JSON of the rendered InferenceService
    weights     TEXT,                           -- folder of the weights it uses
    phase       TEXT NOT NULL,
    result      TEXT,
    reason      TEXT NOT NULL DEFAULT '',
    hint        TEXT NOT NULL DEFAULT '',
    code        TEXT NOT NULL DEFAULT '',
    exit_code   INTEGER,
    log_tail    TEXT NOT NULL DEFAULT '[]',     -- JSON list of lines
    restores    TEXT,                           -- the failed activation this one makes up for
    restored_by TEXT,
    job_id      TEXT,
    actor       TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    phase_at    TEXT NOT NULL,
    ended_at    TEXT
) STRICT;
CREATE INDEX activations_by_slot ON activations (slot, seq);

CREATE TABLE weight_uses (
    folder TEXT NOT NULL,
    owner  TEXT NOT NULL,
    PRIMARY KEY (folder, owner)
) STRICT, WITHOUT ROWID;

CREATE TABLE catalog_last_good (
    id       TEXT PRIMARY KEY,
    file     TEXT NOT NULL,
    revision TEXT NOT NULL,
    hash     TEXT NOT NULL,
    bytes    BLOB NOT NULL
) STRICT;

CREATE TABLE catalog_state (
    key   TEXT PRIMARY KEY,
    value TEXT
) STRICT;
