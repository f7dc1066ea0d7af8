-- Version 1. Times are milliseconds since 1970, UTC. Words and JSON are text.

CREATE TABLE server (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    server_id TEXT NOT NULL            -- random; leftovers on engines are ours only if they bear it
) STRICT;

CREATE TABLE jobs (
    seq            INTEGER PRIMARY KEY,   -- the order of acceptance
    version        INTEGER NOT NULL,      -- grows with every write
    id             TEXT NOT NULL UNIQUE,
    workspace      TEXT NOT NULL,
    model_run_id   TEXT NOT NULL,
    model_id       TEXT,
    kind           TEXT NOT NULL,
    parent         TEXT,
    actor          TEXT NOT NULL,
    model          TEXT NOT NULL,
    executor       TEXT NOT NULL,
    entry          TEXT NOT NULL,         -- the model's entry as it stood at acceptance
    gpus           INTEGER NOT NULL,      -- what a slot must offer
    protocol       INTEGER NOT NULL,
    webhook        BLOB NOT NULL,         -- the body exactly as it was sent
    webhook_digest BLOB NOT NULL,         -- SHA-256 of it, to know a redelivery
    state          TEXT NOT NULL,
    stage          TEXT,
    cause          TEXT,
    message        TEXT,
    attempt        INTEGER NOT NULL,
    devices        TEXT NOT NULL,
    handle         TEXT,
    boot_id        TEXT,
    stop           TEXT,
    waiting        TEXT,
    progress       TEXT NOT NULL,
    events_offset  INTEGER NOT NULL,
    accepted_at    INTEGER NOT NULL,
    started_at     INTEGER,
    ended_at       INTEGER,
    next_check_at  INTEGER,
    queue_deadline INTEGER,
    not_before     INTEGER
) STRICT;

-- One live job for each model run, whatever happens at once.
CREATE UNIQUE INDEX live_job_of_run ON jobs (workspace, model_run_id)
    WHERE state NOT IN ('succeeded', 'failed', 'cancelled');
CREATE INDEX jobs_of_run ON jobs (workspace, model_run_id, seq);
CREATE INDEX jobs_due ON jobs (next_check_at) WHERE next_check_at IS NOT NULL;
CREATE INDEX jobs_waiting ON jobs (queue_deadline) WHERE queue_deadline IS NOT NULL;
CREATE INDEX jobs_queued ON jobs (executor, seq) WHERE state = 'queued';
CREATE INDEX jobs_holding_slots ON jobs (executor) WHERE state IN ('submitting', 'pending', 'running');

CREATE TABLE timeline (
    id     INTEGER PRIMARY KEY,
    job    INTEGER NOT NULL REFERENCES jobs (seq),
    at     INTEGER NOT NULL,
    event  TEXT NOT NULL,
    detail TEXT
) STRICT;
CREATE INDEX timeline_of_job ON timeline (job, id);

-- The outbox: status updates owed to Labelbox.
CREATE TABLE reports (
    id           INTEGER PRIMARY KEY,
    job          INTEGER NOT NULL REFERENCES jobs (seq),
    workspace    TEXT NOT NULL,
    model_run_id TEXT NOT NULL,
    report       TEXT NOT NULL,
    final        INTEGER NOT NULL,
    state        TEXT NOT NULL,        -- owed, delivered, merged (told by a later one), dropped
    created_at   INTEGER NOT NULL,
    settled_at   INTEGER,
    note         TEXT                  -- why it was dropped, or sent in another form
) STRICT;
CREATE INDEX reports_owed ON reports (workspace, model_run_id, id) WHERE state = 'owed';
CREATE INDEX reports_of_run ON reports (workspace, model_run_id, id);

-- How the outbox of one model run fares.
CREATE TABLE runs (
    workspace     TEXT NOT NULL,
    model_run_id  TEXT NOT NULL,
    failures      INTEGER NOT NULL DEFAULT 0,
    next_try_at   INTEGER NOT NULL DEFAULT 0,
    last_error    TEXT,
    parked        INTEGER NOT NULL DEFAULT 0,
    ambiguous_at  INTEGER,             -- a request of ours may still be applied late
    read_back_at  INTEGER,             -- a final is to be read back then
    PRIMARY KEY (workspace, model_run_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_to_read_back ON runs (read_back_at) WHERE read_back_at IS NOT NULL;

-- How a whole workspace fares: rate limits and refused keys concern all of its runs.
CREATE TABLE workspaces (
    name        TEXT PRIMARY KEY,
    next_try_at INTEGER NOT NULL,
    parked      TEXT                   -- why, when its key is refused
) STRICT, WITHOUT ROWID;

-- What an engine may still hold of attempts that are over for us.
CREATE TABLE leftovers (
    id          INTEGER PRIMARY KEY,
    executor    TEXT NOT NULL,
    handle      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    failures    INTEGER NOT NULL,
    next_try_at INTEGER NOT NULL,
    last_error  TEXT
) STRICT;
