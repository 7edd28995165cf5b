-- What is derived from events beside them, by whoever loads them, and sessions as a view over the events. Repeats collapse
-- in all of it, so the same events may be loaded again at any time.

-- Events that carry both ids: a user was at a device. Of copies of an event the same one counts as in events_raw.
CREATE TABLE IF NOT EXISTS identity_links
(
  projectId   LowCardinality(String),
  anonymousId String,
  eventId     String,
  userId      String,
  timestamp   DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  version     UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (projectId, anonymousId, eventId)
SETTINGS non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

-- When each user ('user') and each device ('anonymous') was first seen: the earliest event time. It stays when the events
-- of that time are past their retention. Rows are merged in the background, so read it with min() and GROUP BY.
CREATE TABLE IF NOT EXISTS first_seen
(
  projectId   LowCardinality(String),
  idKind      LowCardinality(String),
  id          String,
  firstSeenAt SimpleAggregateFunction(min, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (projectId, idKind, id)
SETTINGS non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

-- What views need to know of the deployment; the highest version of a name counts.
CREATE TABLE IF NOT EXISTS warehouse_settings
(
  name    String,
  value   String,
  version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY name
SETTINGS non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

-- Event types that count as a conversion until the setting of the deployment is written.
INSERT INTO warehouse_settings VALUES ('conversionTypes', '["purchase"]', 0);

-- Reads what was appended lately without the rest.
ALTER TABLE events_raw ADD INDEX IF NOT EXISTS appended appendedAt TYPE minmax GRANULARITY 1;

-- One row for each session id of a project, over all its events, each counted once: the fields of a live session. Ties
-- of time are decided by the event id.
CREATE OR REPLACE VIEW sessions SQL SECURITY DEFINER DEFINER = CURRENT_USER AS
SELECT
  grouped.projectId AS projectId,
  sessionId,
  startedAt,
  lastEventAt,
  dateDiff('millisecond', startedAt, lastEventAt) AS durationMs,
  totalEvents,
  pageViews,
  hasConversion,
  -- Neither its user nor its device was seen before it began.
  CAST((users.id = '' OR users.seenAt >= startedAt) AND (devices.id = '' OR devices.seenAt >= startedAt), 'Bool') AS isNew,
  userId,
  anonymousId,
  trafficSource,
  deviceType,
  country,
  entryPage,
  exitPage
FROM
(
  SELECT
    projectId,
    sessionId,
    min(timestamp) AS startedAt,
    max(timestamp) AS lastEventAt,
    count() AS totalEvents,
    countIf(eventType = 'page_view') AS pageViews,
    CAST(countIf(has(
      (SELECT JSONExtract(argMax(value, version), 'Array(String)') FROM warehouse_settings WHERE name = 'conversionTypes'),
      toString(eventType)
    )) > 0, 'Bool') AS hasConversion,
    argMaxIf(events.userId, (timestamp, eventId), events.userId != '') AS userId,
    argMinIf(events.anonymousId, (timestamp, eventId), events.anonymousId != '') AS anonymousId,
    argMin(events.trafficSource, (timestamp, eventId)) AS trafficSource,
    argMin(events.deviceType, (timestamp, eventId)) AS deviceType,
    argMin(events.country, (timestamp, eventId)) AS country,
    argMinIf(path, (timestamp, eventId), path != '') AS entryPage,
    argMaxIf(path, (timestamp, eventId), path != '') AS exitPage
  FROM events
  WHERE sessionId != ''
  GROUP BY projectId, sessionId
) AS grouped
LEFT JOIN (SELECT projectId, id, min(firstSeenAt) AS seenAt FROM first_seen WHERE idKind = 'user' GROUP BY projectId, id) AS users
  ON users.projectId = grouped.projectId AND users.id = grouped.userId
LEFT JOIN (SELECT projectId, id, min(firstSeenAt) AS seenAt FROM first_seen WHERE idKind = 'anonymous' GROUP BY projectId, id) AS devices
  ON devices.projectId = grouped.projectId AND devices.id = grouped.anonymousId;
