-- Replays: parts of the log that a group of workers reads once more. The row of one that is not over is the lock of its
-- group, which workers read before they join and while they run. Runs in one transaction.

CREATE TABLE replays (
  id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project_id text        NOT NULL,
  -- The live consumer group.
  group_id   text        NOT NULL,
  topic      text        NOT NULL,
  -- beside: read under another group while the live one goes on. in-place: the live group itself is moved back.
  mode       text        NOT NULL CHECK (mode IN ('beside', 'in-place')),
  effect     text        NOT NULL,
  source     text        NOT NULL,
  -- Offsets by partition: [{"partition": 0, "from": "12", "to": "99"}].
  parts      jsonb       NOT NULL CHECK (jsonb_typeof(parts) = 'array'),
  -- Positions of the live group before it was moved, by partition.
  saved      jsonb       NOT NULL DEFAULT '{}'::jsonb CHECK (jsonb_typeof(saved) = 'object'),
  records    bigint      NOT NULL CHECK (records >= 0),
  per_second integer     CHECK (per_second > 0),
  reason     text        NOT NULL,
  state      text        NOT NULL DEFAULT 'preparing'
                         CHECK (state IN ('preparing', 'running', 'aborting', 'done', 'aborted', 'failed')),
  problem    text,
  -- Who sets positions at the moment. It is believed until then, whether it lives or not.
  holder     text,
  held_until timestamptz,
  created_by text        NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX replays_one_of_a_group ON replays (group_id) WHERE state IN ('preparing', 'running', 'aborting');
