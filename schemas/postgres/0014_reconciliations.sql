-- What the comparison of log and sinks found last, project by project. Runs in one transaction.

CREATE TABLE reconciliations (
  project_id  text        PRIMARY KEY,
  -- NULL: it was never compared.
  compared_at timestamptz,
  -- As it is answered.
  found       jsonb,
  -- NULL: the last comparison came to its end.
  failed_at   timestamptz,
  failure     text
);
