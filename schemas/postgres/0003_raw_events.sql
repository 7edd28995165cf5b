-- Every event of the raw log once, as metadata for joins with an application's own tables; kept by day and dropped by
-- day. Where TimescaleDB is installed it is a hypertable that compresses and expires itself; elsewhere the recorder makes
-- and drops the partitions. Runs in one transaction.

CREATE TABLE raw_events_columns (
  project_id   text        NOT NULL,
  event_id     text        NOT NULL,
  -- UTC day of the event time: the identity of an event is (project_id, event_id) within it.
  day          date        NOT NULL,
  event_type   text        NOT NULL,
  -- The `action` among its properties, when that is a text.
  event_action text,
  session_id   text,
  user_id      text,
  anonymous_id text,
  "timestamp"  timestamptz NOT NULL,
  received_at  timestamptz NOT NULL,
  appended_at  timestamptz NOT NULL,
  topic        text        NOT NULL,
  "partition"  integer     NOT NULL,
  "offset"     bigint      NOT NULL,
  metadata     jsonb       NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now()
);

DO $$
DECLARE
  timescale boolean := EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb');
BEGIN
  EXECUTE 'CREATE TABLE raw_events (LIKE raw_events_columns INCLUDING DEFAULTS)'
    || CASE WHEN timescale THEN '' ELSE ' PARTITION BY RANGE (day)' END;
  IF timescale THEN
    EXECUTE 'SELECT create_hypertable(''raw_events'', by_range(''day'', INTERVAL ''1 day''), create_default_indexes => false)';
    EXECUTE 'ALTER TABLE raw_events SET (timescaledb.compress, timescaledb.compress_segmentby = ''project_id'')';
    EXECUTE 'SELECT add_compression_policy(''raw_events'', INTERVAL ''7 days'')';
    EXECUTE 'SELECT add_retention_policy(''raw_events'', INTERVAL ''90 days'')';
  END IF;
END
$$;

DROP TABLE raw_events_columns;

ALTER TABLE raw_events ADD PRIMARY KEY (day, project_id, event_id);
CREATE INDEX raw_events_session ON raw_events (project_id, session_id) WHERE session_id IS NOT NULL;
CREATE INDEX raw_events_user ON raw_events (project_id, user_id, "timestamp") WHERE user_id IS NOT NULL;
CREATE INDEX raw_events_type ON raw_events (project_id, event_type, "timestamp");
CREATE INDEX raw_events_metadata ON raw_events USING gin (metadata jsonb_path_ops);
