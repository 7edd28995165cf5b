-- What people ask: every event once. It reads with the rights of its maker, so that the asking user needs no right on
-- the table; the row filter or policy of the table still decides which rows there are. Copies of an event lie in one
-- month (its day is part of its identity), so months are merged apart.
-- New columns go to the end, and so will the attributed person.
CREATE OR REPLACE VIEW events SQL SECURITY DEFINER DEFINER = CURRENT_USER AS
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
  offset
FROM events_raw FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;
