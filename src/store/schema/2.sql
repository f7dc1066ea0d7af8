-- Version 2: one index for each question, appended to where that is possible; what limits and retention ask.

-- An index in the order of random run ids costs a page of log for each row: one is enough. It holds at most one live
-- job for each run (0), and all that have ended (their own number).
DROP INDEX live_job_of_run;
DROP INDEX jobs_of_run;
CREATE UNIQUE INDEX jobs_of_run ON jobs (
    workspace, model_run_id, iif(state IN ('succeeded', 'failed', 'cancelled'), seq, 0)
);

-- Reports are found by way of their job.
DROP INDEX reports_owed;
DROP INDEX reports_of_run;
ALTER TABLE reports DROP COLUMN workspace;
ALTER TABLE reports DROP COLUMN model_run_id;
CREATE INDEX reports_owed ON reports (job, id) WHERE state = 'owed';
CREATE INDEX reports_of_job ON reports (job, id);

-- How many jobs of a model wait, and how many were accepted lately.
CREATE INDEX jobs_waiting_of_model ON jobs (model) WHERE state IN ('accepted', 'exporting', 'queued');
CREATE INDEX jobs_of_model ON jobs (model, accepted_at);

-- Which parts of an ended job's folder are gone: 1 data, 2 checkpoint, 4 logs, 8 models.
ALTER TABLE jobs ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0;
CREATE INDEX jobs_ended ON jobs (ended_at, pruned, model) WHERE ended_at IS NOT NULL;

-- Set in a backup: when it was made. A store that opens with it set has been restored.
ALTER TABLE server ADD COLUMN backup_of INTEGER;
