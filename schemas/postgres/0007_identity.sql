-- Manual merges of user ids and their undos. Rows are only added: what was decided, by whom and why, stays. Who is one
-- person follows from the merges that no row undoes. Runs in one transaction.

CREATE TABLE identity_edges (
  -- Also the version of the closure that is written to the warehouse after the change.
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project_id   text        NOT NULL REFERENCES projects (id),
  -- Of a merge: the person that was merged, and the one it became part of.
  from_user_id text,
  into_user_id text,
  -- Of an undo: the merge that it takes back.
  undoes       bigint      UNIQUE REFERENCES identity_edges (id),
  reason       text        NOT NULL DEFAULT '',
  actor        text        NOT NULL,
  at           timestamptz NOT NULL DEFAULT now(),
  CHECK (num_nulls(from_user_id, into_user_id) = CASE WHEN undoes IS NULL THEN 0 ELSE 2 END),
  CHECK (from_user_id <> into_user_id)
);

CREATE INDEX identity_edges_project_id ON identity_edges (project_id, id);

CREATE TRIGGER identity_edges_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON identity_edges
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
