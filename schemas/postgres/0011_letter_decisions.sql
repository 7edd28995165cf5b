-- What people decided about dead letters whose bytes and history are in Kafka. Runs in one transaction.

CREATE TABLE letter_decisions (
  -- group:topic:partition:offset of the record that failed.
  letter_id   text        PRIMARY KEY,
  project_id  text        NOT NULL,
  -- drop: given up. recount: its day is counted again from the warehouse.
  kind        text        NOT NULL CHECK (kind IN ('drop', 'recount')),
  -- The copy in the dead-letter topic that the decision is about: a later one is open again.
  "partition" integer     NOT NULL,
  "offset"    bigint      NOT NULL,
  decided_at  timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX letter_decisions_project_id ON letter_decisions (project_id);
