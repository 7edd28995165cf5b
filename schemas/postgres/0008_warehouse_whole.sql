-- What a count of the warehouse has to know before it is believed: which tables are known to hold everything, and which
-- days the retention ever cut. And a day that is asked for again keeps its place in the queue. Runs in one transaction.

-- The tables of the warehouse, by the ids that the server gave them, that hold everything the loaders ever took: filled
-- from the beginning, or by a rebuild that came to its end. Tables that were made anew have other ids.
CREATE TABLE warehouse_whole (
  only_row boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
  tables   text        NOT NULL,
  noted_at timestamptz NOT NULL DEFAULT now()
);

-- Events of days before `kept_from` may be gone, also when the retention of the project was raised or taken away since.
CREATE TABLE warehouse_cuts (
  project_id text PRIMARY KEY,
  kept_from  date NOT NULL
);

-- `queued_at` is the place in the queue, `asked_at` the last request: a count is made of what was appended before it.
ALTER TABLE recount_days ADD COLUMN asked_at timestamptz NOT NULL DEFAULT now();
UPDATE recount_days SET asked_at = queued_at;
