-- Exact before a merge, safe across projects, and cheaper to ask. Three things change in who did an event. What was there
-- answers as before until the two views at the end are replaced, so after any statement of this file answers are right.

-- What a link says stands, whatever copy of its event is shown: a copy with another time or user is a fact of its own
-- (`fact`: both of them), so merging parts collapses repeats and changes nothing else. Nothing that reads links needs
-- FINAL. Rows of before this have no `fact`; of those one copy of an event stays, as ever.
ALTER TABLE identity_links
  ADD COLUMN IF NOT EXISTS fact String,
  MODIFY ORDER BY (projectId, anonymousId, eventId, fact);

-- Whom the event itself names: its user, or `anon:` and its device, or nobody. Made when the row is inserted, so that
-- asking for persons reads one text and compares none with the placeholders. A device is looked up by 128 bits of
-- SHA-256 over project and id, half of them the key, the other half compared with what was found: no device is ever
-- taken for another one, of this project or a different one. Zero: the event names a user, or nobody.
ALTER TABLE events_raw
  ADD COLUMN IF NOT EXISTS subject String MATERIALIZED multiIf(NOT (startsWith(userId, 'anon:') OR userId IN (
    '', ' ', '""', '"null"', '''''', '()', '(null)', '*', '-', '--', '-1', '.', '0',
    '00000000-0000-0000-0000-000000000000', '<null>', '?', 'ANON', 'ANONYMOUS', 'ANONYMOUSID', 'ANONYMOUS_ID',
    'Anon', 'Anonymous', 'Anonymous_id', 'Anonymousid', 'DEFAULT', 'DISTINCTID', 'DISTINCT_ID', 'Default',
    'Distinct_id', 'Distinctid', 'EMAIL', 'EMPTY', 'Email', 'Empty', 'FALSE', 'False', 'GUEST', 'Guest', 'ID',
    'Id', 'MAP', 'Map', 'N/A', 'N/a', 'NA', 'NAN', 'NIL', 'NOBODY', 'NONE', 'NOT_AUTHENTICATED', 'NULL', 'Na',
    'NaN', 'Nan', 'Nil', 'Nobody', 'None', 'Not_authenticated', 'Null', 'TRUE', 'True', 'UID', 'UNAUTHENTICATED',
    'UNDEFINED', 'UNKNOWN', 'UNSET', 'USER', 'USERID', 'USER_ID', 'Uid', 'Unauthenticated', 'Undefined', 'Unknown',
    'Unset', 'User', 'User_id', 'Userid', 'VISITOR', 'Visitor', '[]', '[object Object]', '[object object]', '_',
    'anon', 'anonymous', 'anonymousId', 'anonymous_id', 'anonymousid', 'default', 'deviceId', 'distinctId',
    'distinct_id', 'distinctid', 'email', 'empty', 'false', 'guest', 'id', 'map', 'n/a', 'na', 'nan', 'nil',
    'nobody', 'none', 'not_authenticated', 'null', 'true', 'uid', 'unauthenticated', 'undefined', 'unknown',
    'unset', 'user', 'userId', 'user_id', 'userid', 'visitor', '{}'
  )), userId, anonymousId IN (
    '', ' ', '""', '"null"', '''''', '()', '(null)', '*', '-', '--', '-1', '.', '0',
    '00000000-0000-0000-0000-000000000000', '<null>', '?', 'ANON', 'ANONYMOUS', 'ANONYMOUSID', 'ANONYMOUS_ID',
    'Anon', 'Anonymous', 'Anonymous_id', 'Anonymousid', 'DEFAULT', 'DISTINCTID', 'DISTINCT_ID', 'Default',
    'Distinct_id', 'Distinctid', 'EMAIL', 'EMPTY', 'Email', 'Empty', 'FALSE', 'False', 'GUEST', 'Guest', 'ID',
    'Id', 'MAP', 'Map', 'N/A', 'N/a', 'NA', 'NAN', 'NIL', 'NOBODY', 'NONE', 'NOT_AUTHENTICATED', 'NULL', 'Na',
    'NaN', 'Nan', 'Nil', 'Nobody', 'None', 'Not_authenticated', 'Null', 'TRUE', 'True', 'UID', 'UNAUTHENTICATED',
    'UNDEFINED', 'UNKNOWN', 'UNSET', 'USER', 'USERID', 'USER_ID', 'Uid', 'Unauthenticated', 'Undefined', 'Unknown',
    'Unset', 'User', 'User_id', 'Userid', 'VISITOR', 'Visitor', '[]', '[object Object]', '[object object]', '_',
    'anon', 'anonymous', 'anonymousId', 'anonymous_id', 'anonymousid', 'default', 'deviceId', 'distinctId',
    'distinct_id', 'distinctid', 'email', 'empty', 'false', 'guest', 'id', 'map', 'n/a', 'na', 'nan', 'nil',
    'nobody', 'none', 'not_authenticated', 'null', 'true', 'uid', 'unauthenticated', 'undefined', 'unknown',
    'unset', 'user', 'userId', 'user_id', 'userid', 'visitor', '{}'
  ), '', concat('anon:', anonymousId)),
  ADD COLUMN IF NOT EXISTS subjectKey UInt64 MATERIALIZED if(startsWith(subject, 'anon:'),
    reinterpretAsUInt64(substring(SHA256(concat(projectId, ':', anonymousId)), 1, 8)), 0),
  ADD COLUMN IF NOT EXISTS subjectCheck UInt64 MATERIALIZED if(startsWith(subject, 'anon:'),
    reinterpretAsUInt64(substring(SHA256(concat(projectId, ':', anonymousId)), 9, 8)), 0);

-- For the rows that are there; it goes on in the background, and until then they compute it when they are read.
ALTER TABLE events_raw MATERIALIZE COLUMN subject, MATERIALIZE COLUMN subjectKey, MATERIALIZE COLUMN subjectCheck;

-- Which user a device belongs to at which time, in milliseconds. The first interval reaches back to the beginning,
-- unless more than five users make the device a shared one; `sinceMs` is where it is known without looking back. Of
-- links at one time the last by event id counts, then by user id.
CREATE OR REPLACE VIEW identity_intervals AS
SELECT
  projectId,
  anonymousId,
  SHA256(concat(projectId, ':', anonymousId)) AS hash,
  reinterpretAsUInt64(substring(hash, 1, 8)) AS deviceKey,
  reinterpretAsUInt64(substring(hash, 9, 8)) AS deviceCheck,
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
  FROM identity_links
  GROUP BY projectId, anonymousId
)
ARRAY JOIN
  arrayEnumerate(changes) AS nth,
  arrayMap(i -> users[i], changes) AS userId,
  starts AS sinceMs,
  arrayPushBack(arrayPopFront(starts), 9000000000000000) AS nextMs
WHERE fromMs <= toMs
  AND (projectId, userId) NOT IN (SELECT projectId, userId FROM identity_crowds);

-- What has a second user keeps its mark: its intervals tell.
CREATE OR REPLACE VIEW identity_single_users AS
SELECT
  SHA256(concat(projectId, ':', anonymousId)) AS hash,
  reinterpretAsUInt64(substring(hash, 1, 8)) AS deviceKey,
  reinterpretAsUInt64(substring(hash, 9, 8)) AS deviceCheck,
  if(min(pairs.userId) = max(pairs.userId), min(pairs.userId), 'anon:') AS userId,
  toUnixTimestamp64Milli(min(since)) AS sinceMs
FROM identity_pairs AS pairs
GROUP BY projectId, anonymousId
HAVING (projectId, userId) NOT IN (SELECT projectId, userId FROM identity_crowds);

CREATE OR REPLACE VIEW identity_several_users AS
SELECT deviceKey, deviceCheck, fromMs, toMs, sinceMs, userId
FROM identity_intervals
WHERE (projectId, anonymousId) IN
(
  SELECT projectId, anonymousId FROM identity_pairs GROUP BY projectId, anonymousId HAVING min(userId) != max(userId)
);

CREATE OR REPLACE DICTIONARY identity_devices (deviceKey UInt64, deviceCheck UInt64, userId String, sinceMs Int64)
PRIMARY KEY deviceKey
SOURCE(CLICKHOUSE(TABLE 'identity_single_users'))
LAYOUT(HASHED_ARRAY())
LIFETIME(MIN 5 MAX 15);

CREATE OR REPLACE DICTIONARY identity_shared
(
  deviceKey UInt64, deviceCheck UInt64, fromMs Int64, toMs Int64, sinceMs Int64, userId String
)
PRIMARY KEY deviceKey
SOURCE(CLICKHOUSE(TABLE 'identity_several_users'))
LAYOUT(RANGE_HASHED())
RANGE(MIN fromMs MAX toMs)
LIFETIME(MIN 5 MAX 15);

-- Every event once, with whom it names.
CREATE OR REPLACE VIEW identity_event_subjects AS
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
  subject,
  subjectKey,
  subjectCheck,
  toUnixTimestamp64Milli(timestamp) AS ms
FROM events_raw FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- What people ask. A found device with the mark has several users, and only such are looked up by time. The view reads
-- with the rights of its maker, so that the asking user needs no right on what is behind it; the row filter or policy of
-- the tables still decides which rows there are.
CREATE OR REPLACE VIEW events SQL SECURITY DEFINER DEFINER = CURRENT_USER AS
WITH
  dictGetOrDefault('identity_devices', ('userId', 'deviceCheck'), subjectKey, ('', 1)) AS found,
  dictGetOrDefault('identity_shared', ('userId', 'deviceCheck'), subjectKey, ms, ('', 1)) AS shared,
  multiIf(
    found.2 != subjectCheck, subject,
    found.1 != 'anon:', found.1,
    shared.2 != subjectCheck, subject,
    shared.1
  ) AS person,
  dictGetOrDefault('identity_devices', ('userId', 'deviceCheck', 'sinceMs'), subjectKey, ('', 1, 0)) AS foundAt,
  dictGetOrDefault('identity_shared', ('userId', 'deviceCheck', 'sinceMs'), subjectKey, ms, ('', 1, 0)) AS sharedAt,
  multiIf(
    foundAt.2 != subjectCheck OR (foundAt.3 > ms AND foundAt.1 != 'anon:'), subject,
    foundAt.1 != 'anon:', foundAt.1,
    sharedAt.2 != subjectCheck OR sharedAt.3 > ms, subject,
    sharedAt.1
  ) AS personAt,
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
  if(isPlain, person, dictGetOrDefault('identity_persons', 'personId', (projectId, person), person)) AS personId,
  if(isPlain, personAt,
    dictGetOrDefault('identity_persons', 'personId', (projectId, personAt), personAt)) AS personIdAtEvent
FROM identity_event_subjects;

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
  if(known.personId = '', person, known.personId) AS personId,
  if(person != subject AND sinceMs > ms, subject, personId) AS personIdAtEvent
FROM
(
  SELECT
    subjects.*,
    if(subjectKey != 0 AND intervals.userId != '' AND ms <= intervals.toMs, intervals.userId, subject) AS person,
    intervals.sinceMs AS sinceMs
  FROM identity_event_subjects AS subjects
  ASOF LEFT JOIN identity_intervals AS intervals
    ON intervals.projectId = subjects.projectId AND intervals.anonymousId = subjects.anonymousId
    AND intervals.fromMs <= subjects.ms
) AS found
LEFT JOIN identity_merged_users AS known ON known.projectId = found.projectId AND known.userId = found.person;

-- Nothing reads these any more. The column leaves the parts in the background, behind what is computed for them.
DROP VIEW IF EXISTS identity_subjects;

ALTER TABLE events_raw DROP COLUMN IF EXISTS deviceKey;
