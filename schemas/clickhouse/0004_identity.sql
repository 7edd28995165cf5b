-- Who did an event, decided when somebody asks: an event from before a login belongs to its user the moment the login is
-- known, and no row is ever rewritten. The facts are links (a user was at a device, written by the loader for every event
-- with both ids) and merges of user ids (decided by people, kept in PostgreSQL, written here as their closure). The rules
-- are those of packages/contracts/src/identity.ts; a test compares the two for every event.

-- The person of every user id that a merge ever named; the highest version is the state after the last change.
CREATE TABLE IF NOT EXISTS person_edges
(
  projectId LowCardinality(String),
  userId    String,
  personId  String,
  -- User ids of the person.
  userIds   UInt32,
  version   UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (projectId, userId)
SETTINGS non_replicated_deduplication_window = 0, fsync_after_insert = 1, fsync_part_directory = 1;

-- The device of an event as a number, made when the row is inserted: finding its user then costs no reading or hashing of
-- texts. 64 bits of SHA-256 over project and id: ids that meet cannot be made on purpose, and among 20 million devices
-- two meet by chance once in 100,000 installations. Older rows compute it when they are read.
ALTER TABLE events_raw ADD COLUMN IF NOT EXISTS
  deviceKey UInt64 MATERIALIZED reinterpretAsUInt64(substring(SHA256(concat(projectId, ':', anonymousId)), 1, 8));

-- Users whose person has more than 1,000 ids: their links tell nothing. Only those with as many links are counted exactly.
CREATE OR REPLACE VIEW identity_crowds AS
WITH pairs AS
(
  SELECT
    links.projectId AS projectId,
    links.anonymousId AS anonymousId,
    links.userId AS userId,
    if(edges.personId = '', links.userId, edges.personId) AS personId,
    greatest(edges.userIds, 1) AS userIds
  FROM (SELECT projectId, anonymousId, userId FROM identity_links FINAL) AS links
  LEFT JOIN (SELECT projectId, userId, personId, userIds FROM person_edges FINAL) AS edges
    ON edges.projectId = links.projectId AND edges.userId = links.userId
)
SELECT projectId, arrayJoin(groupUniqArray(userId)) AS userId
FROM pairs
WHERE (projectId, personId) IN
(
  SELECT projectId, personId FROM pairs GROUP BY projectId, personId HAVING count() + max(userIds) > 1000
)
GROUP BY projectId, personId
HAVING uniqExact(anonymousId) + max(userIds) > 1000;

-- Which user a device belongs to at which time, in milliseconds. The first interval reaches back to the beginning, unless
-- more than five users make the device a shared one; `sinceMs` is where it is known without looking back. Of links at one
-- time the last by event id counts.
CREATE OR REPLACE VIEW identity_intervals AS
SELECT
  projectId,
  anonymousId,
  reinterpretAsUInt64(substring(SHA256(concat(projectId, ':', anonymousId)), 1, 8)) AS deviceKey,
  if(nth = 1 AND NOT isShared, -9000000000000000, sinceMs) AS fromMs,
  nextMs - 1 AS toMs,
  sinceMs,
  userId
FROM
(
  SELECT
    projectId,
    anonymousId,
    arraySort(groupArray((toUnixTimestamp64Milli(timestamp), eventId, userId))) AS links,
    links.1 AS times,
    links.3 AS users,
    length(arrayDistinct(users)) > 5 AS isShared,
    arrayFilter(i -> i = 1 OR users[i] != users[i - 1], arrayEnumerate(users)) AS changes,
    arrayMap(i -> times[i], changes) AS starts
  FROM identity_links FINAL
  GROUP BY projectId, anonymousId
)
ARRAY JOIN
  arrayEnumerate(changes) AS nth,
  arrayMap(i -> users[i], changes) AS userId,
  starts AS sinceMs,
  arrayPushBack(arrayPopFront(starts), 9000000000000000) AS nextMs
WHERE fromMs <= toMs
  AND (projectId, userId) NOT IN (SELECT projectId, userId FROM identity_crowds);

-- What the dictionaries load. Most devices have one user ever: 43 bytes each. Of the others, marked by a text that is no
-- user id, the intervals are kept apart.
CREATE OR REPLACE VIEW identity_single_users AS
SELECT
  reinterpretAsUInt64(substring(SHA256(concat(projectId, ':', anonymousId)), 1, 8)) AS deviceKey,
  if(min(userId) = max(userId), min(userId), 'anon:') AS userId,
  toUnixTimestamp64Milli(min(timestamp)) AS sinceMs
FROM identity_links FINAL
GROUP BY projectId, anonymousId
HAVING (projectId, userId) NOT IN (SELECT projectId, userId FROM identity_crowds)
SETTINGS optimize_aggregation_in_order = 1;

CREATE OR REPLACE VIEW identity_several_users AS
SELECT deviceKey, fromMs, toMs, sinceMs, userId
FROM identity_intervals
WHERE (projectId, anonymousId) IN
(
  SELECT projectId, anonymousId FROM identity_links FINAL GROUP BY projectId, anonymousId HAVING min(userId) != max(userId)
);

CREATE OR REPLACE VIEW identity_merged_users AS
SELECT projectId, userId, personId FROM person_edges FINAL WHERE personId != userId;

CREATE OR REPLACE DICTIONARY identity_devices (deviceKey UInt64, userId String, sinceMs Int64)
PRIMARY KEY deviceKey
SOURCE(CLICKHOUSE(TABLE 'identity_single_users'))
LAYOUT(HASHED_ARRAY())
LIFETIME(MIN 5 MAX 15);

CREATE OR REPLACE DICTIONARY identity_shared (deviceKey UInt64, fromMs Int64, toMs Int64, sinceMs Int64, userId String)
PRIMARY KEY deviceKey
SOURCE(CLICKHOUSE(TABLE 'identity_several_users'))
LAYOUT(RANGE_HASHED())
RANGE(MIN fromMs MAX toMs)
LIFETIME(MIN 5 MAX 15);

CREATE OR REPLACE DICTIONARY identity_persons (projectId String, userId String, personId String)
PRIMARY KEY projectId, userId
SOURCE(CLICKHOUSE(TABLE 'identity_merged_users'))
LAYOUT(COMPLEX_KEY_HASHED())
LIFETIME(MIN 5 MAX 15);

-- Every event once, with the ids of it that name somebody: a placeholder such as "null" names nobody.
CREATE OR REPLACE VIEW identity_subjects AS
SELECT
  projectId,
  eventId,
  eventType,
  userId,
  anonymousId,
  sessionId,
  timestamp,
  sentAt,
  receivedAt,
  appendedAt,
  latenessMs,
  url,
  path,
  referrer,
  title,
  campaignSource,
  campaignMedium,
  campaignName,
  campaignTerm,
  campaignContent,
  trafficSource,
  userAgent,
  deviceType,
  os,
  browser,
  isBot,
  ip,
  country,
  locale,
  libraryName,
  libraryVersion,
  properties,
  schemaVersion,
  enrichVersion,
  topic,
  partition,
  offset,
  deviceKey,
  toUnixTimestamp64Milli(timestamp) AS ms,
  if(startsWith(userId, 'anon:') OR userId IN (
    '', ' ', '""', '"null"', '''''', '()', '(null)', '*', '-', '--', '-1', '.', '0',
    '00000000-0000-0000-0000-000000000000', '<null>', '?', 'ANON', 'ANONYMOUS', 'ANONYMOUSID', 'ANONYMOUS_ID',
    'Anon', 'Anonymous', 'Anonymous_id', 'Anonymousid', 'DEFAULT', 'DISTINCTID', 'DISTINCT_ID', 'Default',
    'Distinct_id', 'Distinctid', 'EMAIL', 'EMPTY', 'Email', 'Empty', 'FALSE', 'False', 'GUEST', 'Guest', 'ID',
    'Id', 'MAP', 'Map', 'N/A', 'N/a', 'NA', 'NAN', 'NIL', 'NOBODY', 'NONE', 'NOT_AUTHENTICATED', 'NULL', 'Na',
    'NaN', 'Nan', 'Nil', 'Nobody', 'None', 'Not_authenticated', 'Null', 'TRUE', 'True', 'UID', 'UNAUTHENTICATED',
    'UNDEFINED', 'UNKNOWN', 'UNSET', 'USER', 'USERID', 'USER_ID', 'Uid', 'Unauthenticated', 'Undefined',
    'Unknown', 'Unset', 'User', 'User_id', 'Userid', 'VISITOR', 'Visitor', '[]', '[object Object]',
    '[object object]', '_', 'anon', 'anonymous', 'anonymousId', 'anonymous_id', 'anonymousid', 'default',
    'deviceId', 'distinctId', 'distinct_id', 'distinctid', 'email', 'empty', 'false', 'guest', 'id', 'map',
    'n/a', 'na', 'nan', 'nil', 'nobody', 'none', 'not_authenticated', 'null', 'true', 'uid', 'unauthenticated',
    'undefined', 'unknown', 'unset', 'user', 'userId', 'user_id', 'userid', 'visitor', '{}'
  ), '', userId) AS namedUser,
  if(anonymousId IN (
    '', ' ', '""', '"null"', '''''', '()', '(null)', '*', '-', '--', '-1', '.', '0',
    '00000000-0000-0000-0000-000000000000', '<null>', '?', 'ANON', 'ANONYMOUS', 'ANONYMOUSID', 'ANONYMOUS_ID',
    'Anon', 'Anonymous', 'Anonymous_id', 'Anonymousid', 'DEFAULT', 'DISTINCTID', 'DISTINCT_ID', 'Default',
    'Distinct_id', 'Distinctid', 'EMAIL', 'EMPTY', 'Email', 'Empty', 'FALSE', 'False', 'GUEST', 'Guest', 'ID',
    'Id', 'MAP', 'Map', 'N/A', 'N/a', 'NA', 'NAN', 'NIL', 'NOBODY', 'NONE', 'NOT_AUTHENTICATED', 'NULL', 'Na',
    'NaN', 'Nan', 'Nil', 'Nobody', 'None', 'Not_authenticated', 'Null', 'TRUE', 'True', 'UID', 'UNAUTHENTICATED',
    'UNDEFINED', 'UNKNOWN', 'UNSET', 'USER', 'USERID', 'USER_ID', 'Uid', 'Unauthenticated', 'Undefined',
    'Unknown', 'Unset', 'User', 'User_id', 'Userid', 'VISITOR', 'Visitor', '[]', '[object Object]',
    '[object object]', '_', 'anon', 'anonymous', 'anonymousId', 'anonymous_id', 'anonymousid', 'default',
    'deviceId', 'distinctId', 'distinct_id', 'distinctid', 'email', 'empty', 'false', 'guest', 'id', 'map',
    'n/a', 'na', 'nan', 'nil', 'nobody', 'none', 'not_authenticated', 'null', 'true', 'uid', 'unauthenticated',
    'undefined', 'unknown', 'unset', 'user', 'userId', 'user_id', 'userid', 'visitor', '{}'
  ), '', concat('anon:', anonymousId)) AS anonymousPerson
FROM events_raw FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- What people ask. It reads with the rights of its maker, so that the asking user needs no right on what is behind it;
-- the row filter or policy of the tables still decides which rows there are.
CREATE OR REPLACE VIEW events SQL SECURITY DEFINER DEFINER = CURRENT_USER AS
WITH
  if(namedUser != '', namedUser, dictGetOrDefault('identity_devices', 'userId', deviceKey, '')) AS foundUser,
  if(foundUser = 'anon:', dictGetOrDefault('identity_shared', 'userId', deviceKey, ms, ''), foundUser) AS knownUser,
  if(foundUser = 'anon:',
    dictGetOrDefault('identity_shared', 'sinceMs', deviceKey, ms, 9000000000000000),
    if(namedUser != '', ms, dictGetOrDefault('identity_devices', 'sinceMs', deviceKey, 9000000000000000))) AS sinceMs,
  if(sinceMs <= ms, knownUser, '') AS earlyUser,
  -- Without merges nothing is looked up.
  (SELECT count() FROM person_edges) = 0 AS isPlain
SELECT
  projectId,
  eventId,
  eventType,
  userId,
  anonymousId,
  sessionId,
  timestamp,
  sentAt,
  receivedAt,
  appendedAt,
  latenessMs,
  url,
  path,
  referrer,
  title,
  campaignSource,
  campaignMedium,
  campaignName,
  campaignTerm,
  campaignContent,
  trafficSource,
  userAgent,
  deviceType,
  os,
  browser,
  isBot,
  ip,
  country,
  locale,
  libraryName,
  libraryVersion,
  properties,
  schemaVersion,
  enrichVersion,
  topic,
  partition,
  offset,
  if(knownUser = '', anonymousPerson, if(isPlain, knownUser,
    dictGetOrDefault('identity_persons', 'personId', (projectId, knownUser), knownUser))) AS personId,
  if(earlyUser = '', anonymousPerson, if(isPlain, earlyUser,
    dictGetOrDefault('identity_persons', 'personId', (projectId, earlyUser), earlyUser))) AS personIdAtEvent
FROM identity_subjects;

-- The same without the dictionaries, so without their seconds of delay: it joins the facts themselves, and costs more.
CREATE OR REPLACE VIEW events_fresh SQL SECURITY DEFINER DEFINER = CURRENT_USER AS
SELECT
  found.projectId AS projectId,
  found.eventId AS eventId,
  found.eventType AS eventType,
  found.userId AS userId,
  found.anonymousId AS anonymousId,
  found.sessionId AS sessionId,
  found.timestamp AS timestamp,
  found.sentAt AS sentAt,
  found.receivedAt AS receivedAt,
  found.appendedAt AS appendedAt,
  found.latenessMs AS latenessMs,
  found.url AS url,
  found.path AS path,
  found.referrer AS referrer,
  found.title AS title,
  found.campaignSource AS campaignSource,
  found.campaignMedium AS campaignMedium,
  found.campaignName AS campaignName,
  found.campaignTerm AS campaignTerm,
  found.campaignContent AS campaignContent,
  found.trafficSource AS trafficSource,
  found.userAgent AS userAgent,
  found.deviceType AS deviceType,
  found.os AS os,
  found.browser AS browser,
  found.isBot AS isBot,
  found.ip AS ip,
  found.country AS country,
  found.locale AS locale,
  found.libraryName AS libraryName,
  found.libraryVersion AS libraryVersion,
  found.properties AS properties,
  found.schemaVersion AS schemaVersion,
  found.enrichVersion AS enrichVersion,
  found.topic AS topic,
  found.partition AS partition,
  found.offset AS offset,
  if(knownUser = '', anonymousPerson, if(known.personId = '', knownUser, known.personId)) AS personId,
  if(knownUser = '' OR sinceMs > ms, anonymousPerson, personId) AS personIdAtEvent
FROM
(
  SELECT
    subjects.*,
    if(namedUser != '', namedUser, if(ms <= intervals.toMs, intervals.userId, '')) AS knownUser,
    if(namedUser != '', ms, intervals.sinceMs) AS sinceMs
  FROM identity_subjects AS subjects
  ASOF LEFT JOIN identity_intervals AS intervals
    ON intervals.projectId = subjects.projectId AND intervals.anonymousId = subjects.anonymousId
    AND intervals.fromMs <= subjects.ms
) AS found
LEFT JOIN identity_merged_users AS known ON known.projectId = found.projectId AND known.userId = found.knownUser;
