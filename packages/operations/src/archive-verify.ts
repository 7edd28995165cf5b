// Whether the archive is what it promises: every offset up to the head in exactly one file or declared hole, every file
// there and unchanged, its rows in order and equal to what was read from the log, and to the log itself while that still
// has them. Objects that belong to nothing are named too.
import { createHash } from 'node:crypto'
import { AppError } from '@millrace/kernel'
import type { Admin, RecordBatch } from '@millrace/kafka'
import { readArchiveFile } from '@millrace/stores/archive-file'
import { archivePrefix, parseArchiveKey } from '@millrace/stores/archive-key'
import type { ArchiveFile, ArchiveHead, ArchiveManifest, FileFilter } from '@millrace/stores/archive-manifest'
import { contentCrc } from '@millrace/stores/archive-rows'
import type { ObjectStore } from '@millrace/stores/object-store'
import { readLog } from './read-log.ts'
import type { LogPart, ReadLogDeps } from './read-log.ts'

/**
 * `gap`, `overlap`, `head`: the ranges do not follow each other up to the head. `holes`: the declared ones are not those
 * of the files. `missing`, `truncated`, `changed`, `unreadable`: the object. `rows`, `order`, `content`: what is in it.
 * `log`: the log has other records. `foreign`: an object that the archiver did not write.
 */
export type ProblemKind =
  | 'gap'
  | 'overlap'
  | 'head'
  | 'holes'
  | 'missing'
  | 'truncated'
  | 'changed'
  | 'unreadable'
  | 'rows'
  | 'order'
  | 'content'
  | 'log'
  | 'foreign'

export interface ArchiveProblem {
  readonly kind: ProblemKind
  /** The object, or the partition and offset. */
  readonly where: string
  readonly detail: string
}

export interface ArchiveReport {
  readonly partitions: number
  readonly files: number
  readonly rows: number
  readonly holes: number
  readonly fileBytes: number
  /** Rows that were compared with the log. */
  readonly comparedRows: number
  /** Objects that never became part of the archive; the archiver removes them after a day. Not a problem. */
  readonly orphans: readonly string[]
  readonly problems: readonly ArchiveProblem[]
}

export interface VerifyDeps {
  readonly manifest: Pick<ArchiveManifest, 'allHeads' | 'files' | 'holes'>
  readonly objects: Pick<ObjectStore, 'get' | 'list'>
  /** Undefined: do not compare with the log. */
  readonly log?: ReadLogDeps & { readonly admin: Pick<Admin, 'ranges' | 'listTopics'> }
  readonly onFile?: (done: number, of: number) => void
}

/**
 * Checks the archive of `filter`. Problems are values; throws only when something does not answer:
 * PIPE_POSTGRES_UNAVAILABLE, PIPE_OBJECTS_UNAVAILABLE, PIPE_KAFKA_UNAVAILABLE.
 */
export async function verifyArchive(deps: VerifyDeps, filter: FileFilter): Promise<ArchiveReport> {
  const { manifest, objects, onFile } = deps
  const problems: ArchiveProblem[] = []
  const report = (kind: ProblemKind, where: string, detail: string): void => void problems.push({ kind, where, detail })
  // Objects first: a file that is claimed meanwhile would look like an orphan otherwise, and heads before files.
  const listed = await listObjects(objects, filter, report)
  const heads = await manifest.allHeads(filter)
  const files = await manifest.files(filter)
  const byLog = Map.groupBy(files, logName)
  let holes = 0
  for (const head of heads) {
    const own = (byLog.get(logName(head)) ?? []).filter(({ first }) => first < head.position)
    checkTiling(head, own, report)
    const declared = await manifest.holes(head)
    const inOwn = declared.filter(({ first }) => first < head.position)
    const count = inOwn.reduce((sum, { first, last }) => sum + Number(last - first + 1n), 0)
    const said = own.reduce((sum, file) => sum + file.holes, 0)
    if (count !== said) report('holes', logName(head), `${count} offsets are declared, the files lack ${said}`)
    holes += said
  }
  for (const [index, file] of files.entries()) {
    await checkFile(objects, file, report)
    onFile?.(index + 1, files.length)
  }
  const keys = new Set(files.map(({ key }) => key))
  return {
    partitions: heads.length,
    files: files.length,
    rows: files.reduce((sum, { rows }) => sum + rows, 0),
    holes,
    fileBytes: files.reduce((sum, { fileBytes }) => sum + fileBytes, 0),
    comparedRows: deps.log === undefined ? 0 : await compareWithLog(deps.log, files, report),
    orphans: listed.filter((key) => !keys.has(key)),
    problems
  }
}

type Report = (kind: ProblemKind, where: string, detail: string) => void

function logName({ topic, partition, epoch }: Pick<ArchiveHead, 'topic' | 'partition' | 'epoch'>): string {
  return `${topic}:${partition} epoch ${epoch}`
}

async function listObjects(objects: Pick<ObjectStore, 'list'>, filter: FileFilter, report: Report): Promise<string[]> {
  const keys: string[] = []
  const matches = (wanted: unknown, found: unknown): boolean => wanted === undefined || wanted === found
  for await (const { key } of objects.list(archivePrefix)) {
    const range = parseArchiveKey(key)
    if (range === undefined) report('foreign', key, 'its name is not that of an archive file')
    else if (
      matches(filter.topic, range.topic) &&
      matches(filter.partition, range.partition) &&
      matches(filter.epoch, range.epoch)
    )
      keys.push(key)
  }
  return keys
}

function checkTiling(head: ArchiveHead, files: readonly ArchiveFile[], report: Report): void {
  let expected = 0n
  for (const { first, last, key } of files) {
    if (first > expected) report('gap', key, `offsets ${expected} to ${first - 1n} before it are in no file`)
    if (first < expected) report('overlap', key, `begins at ${first}, but ${expected - 1n} is in the file before it`)
    expected = last + 1n
  }
  if (expected !== head.position)
    report('head', logName(head), `the head is at ${head.position}, the files end at ${expected}`)
}

async function checkFile(objects: Pick<ObjectStore, 'get'>, file: ArchiveFile, report: Report): Promise<void> {
  const { key } = file
  const bytes = await getObject(objects, key)
  if (bytes === undefined) return report('missing', key, 'the object is not there')
  if (bytes.byteLength < file.fileBytes)
    return report('truncated', key, `${bytes.byteLength} of ${file.fileBytes} bytes`)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  if (sha256 !== file.sha256) return report('changed', key, `its SHA-256 is ${sha256}`)
  let rows = 0
  let crc = 0
  let next = file.first
  try {
    for await (const group of readArchiveFile(bytes)) {
      for (const { topic, partition, offset } of group) {
        if (topic !== file.topic || partition !== file.partition || offset < next || offset > file.last)
          return report('order', key, `a row of ${topic}:${partition} at ${offset}, expected from ${next}`)
        next = offset + 1n
      }
      rows += group.length
      crc = contentCrc(group, crc)
    }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return report('unreadable', key, error.message)
  }
  if (rows !== file.rows) report('rows', key, `${rows} rows, the manifest says ${file.rows}`)
  else if (crc !== file.contentCrc) report('content', key, 'its rows are not those that were read from the log')
}

async function getObject(objects: Pick<ObjectStore, 'get'>, key: string): Promise<Buffer | undefined> {
  try {
    return await objects.get(key)
  } catch (error) {
    if (error instanceof AppError && error.code === 'PIPE_NOT_FOUND') return undefined
    throw error
  }
}

/** A file whose records the log still has, and what was read of them. */
interface Compared {
  readonly file: ArchiveFile
  rows: number
  crc: number
}

async function compareWithLog(
  log: NonNullable<VerifyDeps['log']>,
  files: readonly ArchiveFile[],
  report: Report
): Promise<number> {
  const { parts, compared } = await retained(log, files)
  await readLog(log, parts, (records) => addUp(compared, records))
  let rows = 0
  for (const each of [...compared.values()].flat()) {
    rows += each.rows
    if (each.rows === each.file.rows && each.crc === each.file.contentCrc) continue
    report('log', each.file.key, `the log has ${each.rows} records there, which are not those of the file`)
  }
  return rows
}

/** The files of the newest epoch that lie in the log as a whole. */
async function retained({ admin }: NonNullable<VerifyDeps['log']>, files: readonly ArchiveFile[]) {
  const parts: LogPart[] = []
  const compared = new Map<string, Compared[]>()
  const existing = new Set(await admin.listTopics())
  for (const [topic, ofTopic] of Map.groupBy(files, (file) => file.topic)) {
    if (!existing.has(topic)) continue
    const ranges = await admin.ranges(topic)
    for (const [partition, own] of Map.groupBy(ofTopic, (file) => file.partition)) {
      const range = ranges.find((each) => each.partition === partition)
      const epoch = Math.max(...own.map((file) => file.epoch))
      const whole = own.filter(
        (file) => range !== undefined && file.epoch === epoch && file.first >= range.start && file.last < range.end
      )
      const [first] = whole
      const last = whole.at(-1)
      if (first === undefined || last === undefined) continue
      parts.push({ topic, partition, from: first.first, to: last.last + 1n })
      compared.set(
        `${topic}:${partition}`,
        whole.map((file) => ({ file, rows: 0, crc: 0 }))
      )
    }
  }
  return { parts, compared }
}

function addUp(compared: ReadonlyMap<string, readonly Compared[]>, records: RecordBatch['records']): void {
  const [record] = records
  if (record === undefined) return
  for (const each of compared.get(`${record.topic}:${record.partition}`) ?? []) {
    const { first, last } = each.file
    const own = records.filter(({ offset }) => offset >= first && offset <= last)
    if (own.length === 0) continue
    each.rows += own.length
    each.crc = contentCrc(own, each.crc)
  }
}
