-- What the dictionaries load grows with devices instead of events. Beside the links of each part the server keeps one row
-- for every device and user in it, made at the insert and made anew by each merge, so a copy of an event that lost its
-- rank leaves it with the merge that removes the copy.
ALTER TABLE identity_links MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild';

ALTER TABLE identity_links ADD PROJECTION IF NOT EXISTS pairs
(
  SELECT projectId, anonymousId, userId, min(timestamp) GROUP BY projectId, anonymousId, userId
);

-- For the parts that are there; it goes on in the background.
ALTER TABLE identity_links MATERIALIZE PROJECTION pairs;

-- Each user of each device once, and since when. Read without FINAL, or the server would read every link: before a merge
-- it also has what only a lower ranked copy of an event says, never less than the links have.
CREATE OR REPLACE VIEW identity_pairs AS
SELECT projectId, anonymousId, userId, min(timestamp) AS since
FROM identity_links
GROUP BY projectId, anonymousId, userId;

-- Users whose person has more than 1,000 ids: their links tell nothing.
CREATE OR REPLACE VIEW identity_crowds AS
WITH pairs AS
(
  SELECT
    links.projectId AS projectId,
    links.anonymousId AS anonymousId,
    links.userId AS userId,
    if(edges.personId = '', links.userId, edges.personId) AS personId,
    greatest(edges.userIds, 1) AS userIds
  FROM identity_pairs AS links
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

-- A device that only seems to have several users gets the mark too, and the intervals of its links tell.
CREATE OR REPLACE VIEW identity_single_users AS
SELECT
  reinterpretAsUInt64(substring(SHA256(concat(projectId, ':', anonymousId)), 1, 8)) AS deviceKey,
  if(min(pairs.userId) = max(pairs.userId), min(pairs.userId), 'anon:') AS userId,
  toUnixTimestamp64Milli(min(since)) AS sinceMs
FROM identity_pairs AS pairs
GROUP BY projectId, anonymousId
HAVING (projectId, userId) NOT IN (SELECT projectId, userId FROM identity_crowds);

CREATE OR REPLACE VIEW identity_several_users AS
SELECT deviceKey, fromMs, toMs, sinceMs, userId
FROM identity_intervals
WHERE (projectId, anonymousId) IN
(
  SELECT projectId, anonymousId FROM identity_pairs GROUP BY projectId, anonymousId HAVING min(userId) != max(userId)
);
