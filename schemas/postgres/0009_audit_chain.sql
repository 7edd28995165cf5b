-- The audit log says what was before and after a change, and every row carries a digest of itself and of the row before:
-- who changes, removes or adds a row breaks the chain behind it. Runs in one transaction.

ALTER TABLE audit_log ADD COLUMN before jsonb, ADD COLUMN after jsonb, ADD COLUMN seq bigint, ADD COLUMN digest bytea;

CREATE FUNCTION audit_digest(previous bytea, entry audit_log) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
  SELECT sha256(coalesce(previous, ''::bytea) || convert_to(jsonb_build_array(entry.seq,
    extract(epoch FROM entry.at), entry.actor, entry.action, entry.project_id, entry.subject, entry.details, entry.before,
    entry.after)::text, 'UTF8'))
$$;

-- Rows of before get their place in the order in which they were written.
ALTER TABLE audit_log DISABLE TRIGGER audit_log_append_only;
DO $$
DECLARE
  entry audit_log;
  last bytea;
  place bigint := 0;
BEGIN
  FOR entry IN SELECT * FROM audit_log ORDER BY id LOOP
    place := place + 1;
    entry.seq := place;
    last := audit_digest(last, entry);
    UPDATE audit_log SET seq = place, digest = last WHERE id = entry.id;
  END LOOP;
END
$$;
ALTER TABLE audit_log ENABLE TRIGGER audit_log_append_only;

ALTER TABLE audit_log ALTER COLUMN seq SET NOT NULL, ALTER COLUMN digest SET NOT NULL;
CREATE UNIQUE INDEX audit_log_seq ON audit_log (seq);

-- The lock makes writers take turns until they commit, so that nobody builds upon a row that is not there in the end.
CREATE FUNCTION chain_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  last record;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('millrace:audit', 0));
  SELECT seq, digest INTO last FROM audit_log ORDER BY seq DESC LIMIT 1;
  NEW.seq := coalesce(last.seq, 0) + 1;
  NEW.digest := audit_digest(last.digest, NEW);
  RETURN NEW;
END
$$;

CREATE TRIGGER audit_log_chain BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION chain_audit();
