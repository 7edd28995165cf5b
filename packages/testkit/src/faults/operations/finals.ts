// What a project told for good: the final values of its closed windows, and its closed sessions. A new epoch tells them again
// under higher revisions; what they say must be the same.
import { compareRevisions } from '@millrace/contracts'
import type { MetricMessage, SessionMessage } from '@millrace/contracts'
import type { StreamEvidence } from '../stream/compare.ts'

/** What is said by name, revisions left out. */
export interface Finals {
  readonly values: ReadonlyMap<string, string>
  readonly sessions: ReadonlyMap<string, string>
}

/** The newest of each that is final. */
export function finalsOf({ metrics, sessions }: Pick<StreamEvidence, 'metrics' | 'sessions'>): Finals {
  return {
    values: said(metrics, ({ metric, granularity, timestamp, dimension = '' }) =>
      [metric, granularity, timestamp, dimension].join(' ')
    ),
    sessions: said(sessions, ({ sessionId, startedAt }) => `session ${sessionId} of ${startedAt}`)
  }
}

/** Those of `before` that say something else in `after`, or nothing. */
export function missingFinals(before: Finals, after: Finals): readonly string[] {
  return (['values', 'sessions'] as const).flatMap((kind) =>
    [...before[kind]].flatMap(([name, text]) => {
      const now = after[kind].get(name)
      return now === text ? [] : [`${name}: ${text}, now ${now ?? 'not there'}`]
    })
  )
}

function said<M extends MetricMessage | SessionMessage>(
  messages: readonly M[],
  nameOf: (message: M) => string
): ReadonlyMap<string, string> {
  const newest = new Map<string, M>()
  for (const message of messages) {
    const held = newest.get(nameOf(message))
    if (held === undefined || compareRevisions(message.revision, held.revision) > 0)
      newest.set(nameOf(message), message)
  }
  return new Map([...newest].filter(([, { final }]) => final).map(([name, message]) => [name, textOf(message)]))
}

/** Without the revision, and without the hint that depends on order. */
function textOf(message: MetricMessage | SessionMessage): string {
  return JSON.stringify(message, (key, member: unknown) => (key === 'revision' || key === 'isNew' ? undefined : member))
}
