-- Projects, their API keys, and the record of who changed them. Runs in one transaction.

CREATE TABLE projects (
  id             text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]{0,38}$'),
  name           text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  -- Counts up when the topics of the project are recreated: positions of an older log mean nothing in a newer one.
  log_generation integer NOT NULL DEFAULT 1 CHECK (log_generation > 0),
  settings       jsonb NOT NULL DEFAULT '{}'::jsonb CHECK (jsonb_typeof(settings) = 'object'),
  created_at     timestamptz NOT NULL DEFAULT now()
);

-- The secret itself is never here: digest = HMAC-SHA-256(pepper, secret).
CREATE TABLE api_keys (
  id           text PRIMARY KEY CHECK (id ~ '^[0-9A-Za-z]{8}$'),
  project_id   text NOT NULL REFERENCES projects (id),
  kind         text NOT NULL CHECK (kind IN ('write', 'secret')),
  digest       bytea NOT NULL CHECK (octet_length(digest) = 32),
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz,
  revoked_at   timestamptz,
  last_used_at timestamptz
);

CREATE INDEX api_keys_project_id ON api_keys (project_id);

-- Append-only: what was done stays, the one who did it included.
CREATE TABLE audit_log (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at         timestamptz NOT NULL DEFAULT now(),
  actor      text NOT NULL,
  action     text NOT NULL,
  project_id text,
  subject    text NOT NULL,
  details    jsonb NOT NULL DEFAULT '{}'::jsonb
);

CREATE INDEX audit_log_project_id_at ON audit_log (project_id, at);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
