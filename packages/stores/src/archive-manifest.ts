// What the archive consists of, in PostgreSQL: a head per partition and the files up to it. Only `claim` makes a file
// part of the archive, by moving the head from exactly where the file begins; so live ranges follow each other without
// gap or overlap, however many owners a partition has at once.
import { AppError } from '@millrace/kernel'
import type { Postgres, Queryable, Row } from './postgres.ts'

/** A partition of a log; `epoch` tells logs of the same name apart. */
export interface ArchivedLog {
  readonly topic: string
  readonly partition: number
  readonly epoch: number
}

export interface ArchiveHead extends ArchivedLog {
  /** Offset after the last one archived. */
  readonly position: bigint
  /** Append time of the record before the position; -1 before the first. */
  readonly appendedAtMs: number
}

/** Offsets that the log did not have. */
export interface ArchiveHole {
  readonly first: bigint
  readonly last: bigint
  readonly reason: 'expired' | 'absent'
}

/** A file and the range it holds, both ends included. */
export interface ArchiveFile extends ArchivedLog {
  readonly first: bigint
  readonly last: bigint
  readonly rows: number
  /** Offsets of the range without a record. */
  readonly holes: number
  readonly firstAppendedAtMs: number
  readonly lastAppendedAtMs: number
  readonly rawBytes: number
  readonly fileBytes: number
  readonly sha256: string
  readonly contentCrc: number
  readonly key: string
}

export type Claim =
  | { readonly kind: 'claimed' }
  /** The head is elsewhere: another owner archived this range, or a part of it. */
  | { readonly kind: 'moved'; readonly position: bigint }

export interface FileFilter {
  readonly topic?: string | undefined
  readonly partition?: number | undefined
  readonly epoch?: number | undefined
}

/** Every call throws PIPE_POSTGRES_UNAVAILABLE when PostgreSQL does not answer. */
export interface ArchiveManifest {
  /** The newest epoch of every partition of `topic`. */
  heads(topic: string): Promise<readonly ArchiveHead[]>
  /** Heads of all epochs. */
  allHeads(filter: FileFilter): Promise<readonly ArchiveHead[]>
  /** The head of `log`, made at position 0 when it is new. */
  open(log: ArchivedLog): Promise<ArchiveHead>
  /**
   * Makes `file` part of the archive, in one transaction with its holes and the move of the head. Repeating a claim whose
   * answer was lost is `claimed` again.
   */
  claim(file: ArchiveFile, holes: readonly ArchiveHole[]): Promise<Claim>
  /** Files in the order of topic, partition, epoch and offset. */
  files(filter: FileFilter): Promise<readonly ArchiveFile[]>
  holes(log: ArchivedLog): Promise<readonly ArchiveHole[]>
}

export interface ManifestOptions {
  /** The bug `archive.head-without-compare` for the fault suite: the head moves wherever it is. */
  readonly planted?: ReadonlySet<string>
}

/** The manifest in `postgres`. */
export function createArchiveManifest(
  postgres: Pick<Postgres, 'query' | 'transaction'>,
  { planted }: ManifestOptions = {}
): ArchiveManifest {
  const move = moveHead(planted?.has('archive.head-without-compare') ?? false)
  return {
    async heads(topic) {
      const rows = await postgres.query<HeadRow>(
        `SELECT DISTINCT ON ("partition") ${headColumns} FROM archive_heads WHERE topic = $1
         ORDER BY "partition", epoch DESC`,
        [topic]
      )
      return rows.map(toHead)
    },
    async allHeads({ topic, partition, epoch }) {
      const rows = await postgres.query<HeadRow>(
        `SELECT ${headColumns} FROM archive_heads
         WHERE ($1::text IS NULL OR topic = $1) AND ($2::integer IS NULL OR "partition" = $2)
           AND ($3::integer IS NULL OR epoch = $3) ORDER BY topic, "partition", epoch`,
        [topic, partition, epoch]
      )
      return rows.map(toHead)
    },
    async open({ topic, partition, epoch }) {
      const at = [topic, partition, epoch]
      await postgres.query(
        `INSERT INTO archive_heads (topic, "partition", epoch) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
        at
      )
      const [row] = await postgres.query<HeadRow>(`SELECT ${headColumns} FROM archive_heads WHERE ${isLog}`, at)
      if (row === undefined) throw new AppError('PIPE_POSTGRES_UNAVAILABLE', 'a head of the archive went away')
      return toHead(row)
    },
    claim: (file, holes) => claim(postgres, move, file, holes),
    async files({ topic, partition, epoch }) {
      const rows = await postgres.query<FileRow>(
        `SELECT ${fileColumns} FROM archive_files JOIN archive_heads ON archive_heads.id = head_id
         WHERE ($1::text IS NULL OR topic = $1) AND ($2::integer IS NULL OR "partition" = $2)
           AND ($3::integer IS NULL OR epoch = $3) ORDER BY topic, "partition", epoch, first_offset`,
        [topic, partition, epoch]
      )
      return rows.map(toFile)
    },
    async holes({ topic, partition, epoch }) {
      const rows = await postgres.query<{ first: string; last: string; reason: ArchiveHole['reason'] }>(
        `SELECT first_offset AS first, last_offset AS last, reason FROM archive_holes
         WHERE head_id = (SELECT id FROM archive_heads WHERE ${isLog}) ORDER BY first_offset`,
        [topic, partition, epoch]
      )
      return rows.map(({ first, last, reason }) => ({ first: BigInt(first), last: BigInt(last), reason }))
    }
  }
}

const isLog = 'topic = $1 AND "partition" = $2 AND epoch = $3'
const headColumns = 'topic, "partition", epoch, position, appended_at_ms'
const fileColumns = `topic, "partition", epoch, first_offset, last_offset, row_count, hole_count, first_appended_at_ms,
  last_appended_at_ms, raw_bytes, file_bytes, sha256, content_crc, object_key`

function moveHead(unconditionally: boolean): string {
  return `UPDATE archive_heads SET position = $5, appended_at_ms = $6, updated_at = now()
    WHERE ${isLog} AND (position = $4 ${unconditionally ? 'OR true' : ''}) RETURNING id`
}

async function claim(
  postgres: Pick<Postgres, 'transaction'>,
  move: string,
  file: ArchiveFile,
  holes: readonly ArchiveHole[]
): Promise<Claim> {
  const log = [file.topic, file.partition, file.epoch]
  return await postgres.transaction(async (tx) => {
    const values = [...log, file.first, file.last + 1n, file.lastAppendedAtMs]
    const [head] = await tx.query<{ id: number }>(move, values)
    if (head === undefined) {
      // The answer to an earlier claim of this very file may have been lost.
      if ((await keyAt(tx, log, file.first)) === file.key) return { kind: 'claimed' }
      const [row] = await tx.query<{ position: string }>(`SELECT position FROM archive_heads WHERE ${isLog}`, log)
      return { kind: 'moved', position: BigInt(row?.position ?? 0) }
    }
    await tx.query(
      `INSERT INTO archive_files (head_id, first_offset, last_offset, row_count, hole_count, first_appended_at_ms,
         last_appended_at_ms, raw_bytes, file_bytes, sha256, content_crc, object_key)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
      [
        head.id,
        file.first,
        file.last,
        file.rows,
        file.holes,
        file.firstAppendedAtMs,
        file.lastAppendedAtMs,
        file.rawBytes,
        file.fileBytes,
        file.sha256,
        file.contentCrc,
        file.key
      ]
    )
    for (const { first, last, reason } of holes)
      await tx.query('INSERT INTO archive_holes (head_id, first_offset, last_offset, reason) VALUES ($1, $2, $3, $4)', [
        head.id,
        first,
        last,
        reason
      ])
    return { kind: 'claimed' }
  })
}

/** The key of the file that begins at `first`, undefined when there is none. */
async function keyAt(from: Queryable, log: readonly unknown[], first: bigint): Promise<string | undefined> {
  const [row] = await from.query<{ key: string }>(
    `SELECT object_key AS key FROM archive_files JOIN archive_heads ON archive_heads.id = head_id
     WHERE ${isLog} AND first_offset = $4`,
    [...log, first]
  )
  return row?.key
}

interface HeadRow extends Row {
  readonly topic: string
  readonly partition: number
  readonly epoch: number
  readonly position: string
  readonly appended_at_ms: string
}

interface FileRow extends Row {
  readonly topic: string
  readonly partition: number
  readonly epoch: number
  readonly first_offset: string
  readonly last_offset: string
  readonly row_count: string
  readonly hole_count: string
  readonly first_appended_at_ms: string
  readonly last_appended_at_ms: string
  readonly raw_bytes: string
  readonly file_bytes: string
  readonly sha256: string
  readonly content_crc: string
  readonly object_key: string
}

function toHead({ topic, partition, epoch, position, appended_at_ms }: HeadRow): ArchiveHead {
  return { topic, partition, epoch, position: BigInt(position), appendedAtMs: Number(appended_at_ms) }
}

function toFile(row: FileRow): ArchiveFile {
  const { topic, partition, epoch, sha256 } = row
  return {
    topic,
    partition,
    epoch,
    first: BigInt(row.first_offset),
    last: BigInt(row.last_offset),
    rows: Number(row.row_count),
    holes: Number(row.hole_count),
    firstAppendedAtMs: Number(row.first_appended_at_ms),
    lastAppendedAtMs: Number(row.last_appended_at_ms),
    rawBytes: Number(row.raw_bytes),
    fileBytes: Number(row.file_bytes),
    sha256,
    contentCrc: Number(row.content_crc),
    key: row.object_key
  }
}
