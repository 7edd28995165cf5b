-- Who asked what of the query service: one row for each question (QUERY_AUDIT says which), written behind. Rows are deleted
-- when QUERY_AUDIT_KEEP_MS is over; they are no proof, unlike audit_log. Runs in one transaction.

CREATE TABLE query_audit (
  at         timestamptz NOT NULL,
  project_id text        NOT NULL,
  key_id     text        NOT NULL,
  endpoint   text        NOT NULL,
  -- Of HTTP; 499: the client went away.
  status     integer     NOT NULL,
  -- HIT, MISS, STALE, BYPASS; empty: it did not come so far.
  cache      text        NOT NULL,
  query_id   text        NOT NULL,
  -- Of the text as it was sent, which is there only when QUERY_AUDIT_TEXT says so.
  sql_sha256 text        NOT NULL,
  sql        text,
  -- By this question itself; null: by none, or not known.
  read_bytes bigint,
  took_ms    integer     NOT NULL
);

CREATE INDEX query_audit_project_at ON query_audit (project_id, at);
CREATE INDEX query_audit_at ON query_audit (at);
