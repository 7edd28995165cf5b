-- Days that wait to be counted again get a number that rises with every request, so that a count which was made before
-- the last request does not end it; and how far the nightly pass over the warehouse has come. Runs in one transaction.

CREATE SEQUENCE recount_marks;

ALTER TABLE recount_days ADD COLUMN mark bigint NOT NULL DEFAULT nextval('recount_marks');

ALTER TABLE recount_days DROP CONSTRAINT recount_days_reason_check;
ALTER TABLE recount_days ADD CONSTRAINT recount_days_reason_check
  CHECK (reason IN ('closed', 'expired', 'lost', 'rebuild', 'letter', 'requested', 'nightly'));

-- Every day that has an event appended before `passed_until` was queued for a recount after that event was there.
CREATE TABLE recount_passes (
  project_id   text        PRIMARY KEY,
  passed_until timestamptz NOT NULL,
  changed_at   timestamptz NOT NULL DEFAULT now()
);
