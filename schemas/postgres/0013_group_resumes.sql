-- When somebody last let a consumer group go on that had stopped itself. Runs in one transaction.

CREATE TABLE group_resumes (
  group_id   text        PRIMARY KEY,
  resumed_at timestamptz NOT NULL DEFAULT now()
);
