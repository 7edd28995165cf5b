-- Builds of the live state, definitions of metrics, days as numbers, and the days that have to be counted again. Runs in
-- one transaction.

-- One row per build of a project's live state from its log. The number is decided by the primary key: of two processes
-- that begin a build at once, one gets the row and the other one finds it. No reference to projects: a log outlives its
-- project's row and may be there before it.
CREATE TABLE state_epochs (
  project_id    text        NOT NULL,
  epoch         integer     NOT NULL CHECK (epoch > 0),
  -- Offset of each partition, by its number; a partition beyond the list begins at 0.
  start_offsets bigint[]    NOT NULL,
  -- Windows, days and sessions that begin before this were not seen whole.
  complete_from timestamptz NOT NULL,
  reason        text        NOT NULL CHECK (reason IN ('first', 'lost', 'torn', 'rebuild', 'recreated')),
  state         text        NOT NULL CHECK (state IN ('building', 'flipping', 'live', 'aborted')),
  created_at    timestamptz NOT NULL DEFAULT now(),
  created_by    text        NOT NULL,
  changed_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project_id, epoch)
);

-- One build at a time. A decided flip to a torn epoch stays as it is; another build passes over it.
CREATE UNIQUE INDEX state_epochs_one_build ON state_epochs (project_id) WHERE state = 'building';

-- A version is never changed: what it counted stays explicable.
CREATE TABLE metric_definitions (
  project_id     text        NOT NULL REFERENCES projects (id),
  name           text        NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  version        integer     NOT NULL CHECK (version > 0),
  -- A full hour; windows that begin before it count by the version before, or not at all.
  effective_from timestamptz NOT NULL CHECK (mod(extract(epoch FROM effective_from), 3600) = 0),
  definition     jsonb       NOT NULL,
  created_at     timestamptz NOT NULL DEFAULT now(),
  created_by     text        NOT NULL,
  PRIMARY KEY (project_id, name, version)
);

CREATE TRIGGER metric_definitions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON metric_definitions
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Days (UTC) of the metrics. A live value gives way to a newer live one and to a count of the warehouse, never the other
-- way round.
CREATE TABLE daily_metrics (
  project_id      text             NOT NULL,
  date            date             NOT NULL,
  metric_name     text             NOT NULL,
  -- Names of the dimensions and their values as JSON lists; both empty: the whole day.
  dimension_key   text             NOT NULL DEFAULT '',
  dimension_value text             NOT NULL DEFAULT '',
  -- The number itself; of a ratio the numerator.
  value           double precision NOT NULL,
  denominator     double precision,
  -- Events (of a ratio: sessions) that the value is made of.
  count           bigint           NOT NULL CHECK (count >= 0),
  capped          boolean          NOT NULL DEFAULT false,
  -- Of live values: the epoch, then its revision; the higher pair is the newer one.
  epoch           integer          NOT NULL DEFAULT 0,
  revision        bigint           NOT NULL DEFAULT 0,
  source          text             NOT NULL CHECK (source IN ('live', 'warehouse')),
  updated_at      timestamptz      NOT NULL DEFAULT now(),
  PRIMARY KEY (project_id, metric_name, date, dimension_key, dimension_value)
);

CREATE INDEX daily_metrics_date ON daily_metrics (project_id, date);

-- Days that the live state cannot know whole: to be counted from the warehouse.
CREATE TABLE recount_days (
  project_id text        NOT NULL,
  day        date        NOT NULL,
  reason     text        NOT NULL CHECK (reason IN ('closed', 'expired', 'lost', 'rebuild', 'letter', 'requested')),
  queued_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project_id, day)
);
