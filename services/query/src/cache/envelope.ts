// What Redis holds of an answer: one line of facts, then the bytes of the reply as they are sent. The line repeats the
// project and the whole key, so that no mistake of naming can hand an answer to another project. Pure.

/** A reply that can be sent again, and how long it may be. */
export interface Entry {
  readonly projectId: string
  readonly key: string
  /** Of the project's answers when this one was asked for. */
  readonly generation: string
  readonly status: number
  readonly contentType: string
  readonly queryId: string
  /** When its making began: it holds no row that came later. */
  readonly madeAtMs: number
  /** What it took. */
  readonly costMs: number
  readonly freshUntilMs: number
  /** Until then it may be sent, marked as stale, when no other answer can be had. */
  readonly staleUntilMs: number
  readonly body: Buffer
}

/** `mismatch`: an answer of something else lies under this name; `broken`: no envelope of this version. */
export type Opened =
  | { readonly kind: 'entry'; readonly entry: Entry }
  | { readonly kind: 'mismatch' }
  | { readonly kind: 'broken' }

const version = '1'
const newline = 0x0a

/** The bytes of an entry. No fact contains a tab or a line break. */
export function sealEntry(entry: Entry): Buffer {
  const { projectId, key, generation, status, contentType, queryId, madeAtMs, costMs, freshUntilMs, staleUntilMs } =
    entry
  const facts = [
    version,
    projectId,
    key,
    generation,
    status,
    contentType,
    queryId,
    madeAtMs,
    costMs,
    freshUntilMs,
    staleUntilMs
  ]
  return Buffer.concat([Buffer.from(`${facts.join('\t')}\n`), entry.body])
}

/** Reads what was found under `expected`. */
export function openEntry(bytes: Buffer, expected: Pick<Entry, 'projectId' | 'key'>): Opened {
  const end = bytes.indexOf(newline)
  const facts = end < 0 ? [] : bytes.toString('utf8', 0, end).split('\t')
  const [found, projectId, key, generation = '', status, contentType = '', queryId = '', ...times] = facts
  const [madeAtMs = NaN, costMs = NaN, freshUntilMs = NaN, staleUntilMs = NaN] = times.map(Number)
  if (found !== version || times.length !== 4 || projectId === undefined || key === undefined) return { kind: 'broken' }
  if (projectId !== expected.projectId || key !== expected.key) return { kind: 'mismatch' }
  const body = bytes.subarray(end + 1)
  const entry = {
    generation,
    status: Number(status),
    contentType,
    queryId,
    madeAtMs,
    costMs,
    freshUntilMs,
    staleUntilMs
  }
  return { kind: 'entry', entry: { projectId, key, ...entry, body } }
}
