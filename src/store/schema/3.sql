-- Version 3: data goes out and predictions come back.

-- The hyper-parameters of the run, and since when its data lies ready.
ALTER TABLE jobs ADD COLUMN settled TEXT;
ALTER TABLE jobs ADD COLUMN exported_at INTEGER;

-- Nothing was exported before this version, whatever an entry said.
UPDATE jobs SET entry = json_set(entry, '$.export', NULL);

-- Accepted jobs that wait for a place among those whose data is fetched ahead; and those that have one.
CREATE INDEX jobs_awaiting_export ON jobs (executor, seq) WHERE state = 'accepted' AND next_check_at IS NULL;
CREATE INDEX jobs_with_data ON jobs (executor) WHERE state = 'exporting' OR (state = 'queued' AND exported_at IS NOT NULL);
CREATE INDEX jobs_in_transfer ON jobs (seq) WHERE state IN ('exporting', 'uploading');

-- What Labelbox was asked to export for a job, so that a restart goes on with the same task.
CREATE TABLE exports (
    job        INTEGER PRIMARY KEY REFERENCES jobs (seq),
    task       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- The chunks of a job's predictions. One in `posting` may have been sent.
CREATE TABLE imports (
    job         INTEGER NOT NULL REFERENCES jobs (seq),
    chunk       INTEGER NOT NULL,
    name        TEXT NOT NULL,        -- what Labelbox calls it; one of each for a model run
    lines       INTEGER NOT NULL,
    state       TEXT NOT NULL,        -- frozen, posting, posted, finished, failed
    posted_at   INTEGER,
    refused     INTEGER,              -- lines that Labelbox did not take
    note        TEXT,
    PRIMARY KEY (job, chunk)
) STRICT, WITHOUT ROWID;
