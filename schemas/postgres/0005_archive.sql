-- The archive: how far each partition of the raw log is in object storage, and the file of every range of it. A file is
-- part of the archive when it has a row here, whatever else lies in the store. Runs in one transaction.

CREATE TABLE archive_heads (
  id             integer GENERATED ALWAYS AS IDENTITY UNIQUE,
  topic          text    NOT NULL,
  "partition"    integer NOT NULL CHECK ("partition" >= 0),
  -- Counts up when the topic turns out to be another log under the same name: its offsets begin anew.
  epoch          integer NOT NULL CHECK (epoch > 0),
  -- Offset after the last one archived. Moves by compare-and-set, together with the row of the file.
  position       bigint  NOT NULL DEFAULT 0 CHECK (position >= 0),
  -- Append time of the record before the position, by which the log is recognised; -1 before the first.
  appended_at_ms bigint  NOT NULL DEFAULT -1,
  updated_at     timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (topic, "partition", epoch)
);

CREATE TABLE archive_files (
  head_id              integer NOT NULL REFERENCES archive_heads (id),
  first_offset         bigint  NOT NULL CHECK (first_offset >= 0),
  last_offset          bigint  NOT NULL CHECK (last_offset >= first_offset),
  -- Records in the file, and offsets of its range that the log did not have (archive_holes).
  row_count            bigint  NOT NULL CHECK (row_count > 0),
  hole_count           bigint  NOT NULL CHECK (hole_count >= 0),
  first_appended_at_ms bigint  NOT NULL,
  last_appended_at_ms  bigint  NOT NULL,
  -- Bytes of the keys, values and headers; size of the file.
  raw_bytes            bigint  NOT NULL CHECK (raw_bytes >= 0),
  file_bytes           bigint  NOT NULL CHECK (file_bytes > 0),
  sha256               text    NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  -- CRC-32 over offset, key and value of every record, taken before the file was written.
  content_crc          bigint  NOT NULL CHECK (content_crc BETWEEN 0 AND 4294967295),
  object_key           text    NOT NULL UNIQUE,
  created_at           timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (head_id, first_offset),
  CHECK (row_count + hole_count = last_offset - first_offset + 1),
  -- Behind the compare-and-set of the head, a second lock: no offset is in two files.
  CONSTRAINT archive_files_no_overlap EXCLUDE USING gist
    (int4range(head_id, head_id, '[]') WITH &&, int8range(first_offset, last_offset, '[]') WITH &&)
);

-- Offsets that no record of the archive has: gone before they were read (expired), or never records (absent).
CREATE TABLE archive_holes (
  head_id      integer NOT NULL REFERENCES archive_heads (id),
  first_offset bigint  NOT NULL,
  last_offset  bigint  NOT NULL CHECK (last_offset >= first_offset),
  reason       text    NOT NULL CHECK (reason IN ('expired', 'absent')),
  PRIMARY KEY (head_id, first_offset)
);
