-- One row per record of the raw log, flat: the columns of packages/contracts/src/columns.ts in their order.
-- A repeated insert is harmless: rows of one event share the sort key, and of those the highest version is visible. So
-- no insert is ever deduplicated by block or token (window 0): such a memory outlives the rows it remembers.
-- An answered insert is on disk (fsync), since the loader moves its offsets after the answer.
CREATE TABLE IF NOT EXISTS events_raw
(
  projectId       LowCardinality(String),
  eventId         String,
  eventType       LowCardinality(String),
  userId          String,
  anonymousId     String,
  sessionId       String,
  timestamp       DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  sentAt          Nullable(DateTime64(3, 'UTC')),
  receivedAt      DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  appendedAt      DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
  latenessMs      Int64,
  url             String CODEC(ZSTD(1)),
  path            String,
  referrer        String CODEC(ZSTD(1)),
  title           String,
  campaignSource  LowCardinality(String),
  campaignMedium  LowCardinality(String),
  campaignName    LowCardinality(String),
  campaignTerm    String,
  campaignContent String,
  trafficSource   LowCardinality(String),
  userAgent       String CODEC(ZSTD(1)),
  deviceType      LowCardinality(String),
  os              LowCardinality(String),
  browser         LowCardinality(String),
  isBot           Bool,
  ip              String,
  country         LowCardinality(String),
  locale          LowCardinality(String),
  libraryName     LowCardinality(String),
  libraryVersion  LowCardinality(String),
  properties      String CODEC(ZSTD(1)),
  schemaVersion   UInt32,
  enrichVersion   UInt16,
  topic           LowCardinality(String),
  partition       UInt32,
  offset          UInt64 CODEC(Delta, ZSTD(1)),
  version         UInt64,
  INDEX raw_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(timestamp)
ORDER BY (projectId, eventType, toDate(timestamp), cityHash64(eventId), eventId)
SETTINGS
  non_replicated_deduplication_window = 0,
  fsync_after_insert = 1,
  fsync_part_directory = 1,
  -- Months without inserts for a week become one part, so that reading them needs no merging.
  min_age_to_force_merge_seconds = 604800,
  min_age_to_force_merge_on_partition_only = 1;
