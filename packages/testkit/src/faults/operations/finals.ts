// What was told of windows and sessions before and after: newer revisions may come, but what was final stays what it was.
// Pure: messages in, violations out.
import { compareRevisions } from '@millrace/contracts'
import type { MetricMessage, SessionMessage } from '@millrace/contracts'
import { broken } from '../oracle.ts'
import type { Violation } from '../oracle.ts'

/** Every message about a project, in the order of its topic. */
export interface Told {
  readonly metrics: readonly MetricMessage[]
  readonly sessions: readonly SessionMessage[]
}

/** What readers hold, and what of it was told anew since. */
export interface ComparedFinals {
  readonly violations: readonly Violation[]
  readonly windows: number
  readonly sessions: number
  /** Values and sessions whose revision is another one now. */
  readonly toldAnew: number
}

/** Compares each value and each session that was final in `before`, field by field, with what readers hold after it. */
export function compareFinals(before: Told, after: Told): ComparedFinals {
  const windows = newestFinals(before.metrics, keyOfMetric)
  const sessions = newestFinals(before.sessions, keyOfSession)
  const held = new Map<string, MetricMessage | SessionMessage>([
    ...newest(after.metrics, keyOfMetric),
    ...newest(after.sessions, keyOfSession)
  ])
  const gone: string[] = []
  const changed: string[] = []
  let toldAnew = 0
  for (const [key, message] of [...windows, ...sessions]) {
    const now = held.get(key)
    if (now === undefined) {
      gone.push(key)
      continue
    }
    if (compareRevisions(now.revision, message.revision) !== 0) toldAnew++
    for (const field of differences(message, now)) changed.push(`${key}: ${field}`)
  }
  return {
    violations: [
      ...broken('INV-4', 'was final and is not told any more', gone),
      ...broken('INV-4', 'was final and is told otherwise', changed)
    ],
    windows: windows.size,
    sessions: sessions.size,
    toldAnew
  }
}

function keyOfMetric({ metric, granularity, timestamp, dimension = '' }: MetricMessage): string {
  return `${metric}:${granularity}:${timestamp} ${dimension}`
}

function keyOfSession({ sessionId, startedAt }: SessionMessage): string {
  return `session ${sessionId} of ${startedAt}`
}

function newest<M extends MetricMessage | SessionMessage>(
  messages: readonly M[],
  keyOf: (message: M) => string
): ReadonlyMap<string, M> {
  const found = new Map<string, M>()
  for (const message of messages) {
    const key = keyOf(message)
    const known = found.get(key)
    if (known === undefined || compareRevisions(message.revision, known.revision) >= 0) found.set(key, message)
  }
  return found
}

function newestFinals<M extends MetricMessage | SessionMessage>(
  messages: readonly M[],
  keyOf: (message: M) => string
): ReadonlyMap<string, M> {
  return new Map([...newest(messages, keyOf)].filter(([, { final }]) => final))
}

/** `isNew` is a hint that depends on order, and the revision is what may rise. */
const apart = new Set(['revision', 'isNew'])

function differences(a: object, b: object): readonly string[] {
  const [before, after] = [new Map(Object.entries(a)), new Map(Object.entries(b))]
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((field) => !apart.has(field) && before.get(field) !== after.get(field))
    .map((field) => `${field} ${String(after.get(field))}, not ${String(before.get(field))}`)
}
