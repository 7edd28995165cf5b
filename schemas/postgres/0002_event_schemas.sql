-- Schemas of event types. A version is never changed; which one is in force, and how strictly, is one row per type.
-- Runs in one transaction.

CREATE TABLE event_schemas (
  project_id text        NOT NULL REFERENCES projects (id),
  event_type text        NOT NULL CHECK (length(event_type) BETWEEN 1 AND 100),
  version    integer     NOT NULL CHECK (version > 0),
  schema     jsonb       NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  created_by text        NOT NULL,
  PRIMARY KEY (project_id, event_type, version)
);

CREATE TRIGGER event_schemas_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event_schemas
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE active_schemas (
  project_id text        NOT NULL,
  event_type text        NOT NULL,
  version    integer     NOT NULL,
  mode       text        NOT NULL CHECK (mode IN ('enforce', 'warn', 'off')),
  changed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project_id, event_type),
  FOREIGN KEY (project_id, event_type, version) REFERENCES event_schemas (project_id, event_type, version)
);
