// A small world of people, devices and clocks, drawn from a seed: the records of its log, the merges people make, and what
// each event must be attributed to, counted by the pure function from the records themselves.
import {
  attribute,
  compareIds,
  createIdentityFacts,
  enrich,
  namesDevice,
  namesUser,
  rawTopic
} from '@millrace/contracts'
import type { EventRow, IdentityLink, PersonEdge, RawRecord } from '@millrace/contracts'
import type { Random } from './random.ts'

/** A merge that somebody asks for, or the wish to take one of those made back. */
export type IdentityChange =
  | { readonly kind: 'merge'; readonly from: string; readonly into: string }
  | { readonly kind: 'undo' }

export interface IdentityWorld {
  /** Every record once, in the order of its log. */
  readonly records: readonly RawRecord[]
  readonly changes: readonly IdentityChange[]
}

/** Who did an event, as the view must say. */
export interface ExpectedPerson {
  readonly personId: string
  readonly personIdAtEvent: string
}

/** Ids that clients send by mistake, one that ends the ASCII letters, and ones that differ only in their case. */
const oddIds = ['null', 'guest', '0', 'Größe', '\u{1f600}', '\uff5e', "o'neil", 'a\\b', 'anon:d1']
const startMs = Date.UTC(2026, 5, 1)

export interface WorldOptions {
  readonly projectId: string
  /** Records. */
  readonly count: number
  /** Begins the ids, so that several worlds fit into one project. */
  readonly prefix?: string
}

/**
 * A world of `count` events in `projectId`: devices of one, several and too many users, ids that name nobody, equal
 * times, wrong clocks, and copies of events, some of them with other ids.
 */
export function createIdentityWorld(random: Random, { projectId, count, prefix = '' }: WorldOptions): IdentityWorld {
  const userOf = (number: number): string => `${prefix}u${number % 8}`
  const user = (): string => (random.chance(0.1) ? random.pick(oddIds) : userOf(random.below(8)))
  // The first device belongs to everybody, the next ones to a few, the others to one user each.
  const deviceAndUser = (): readonly [string, string] => {
    const device = random.below(10)
    const id = `${prefix}d${device}`
    return [id, device === 0 ? user() : userOf(device < 4 ? device + random.below(3) : device)]
  }
  const records: RawRecord[] = []
  for (let number = 0; number < count; number++) {
    const [device, owner] = deviceAndUser()
    const isCopy = number > 0 && random.chance(0.1)
    const anonymousId = random.chance(0.05) ? random.pick(oddIds) : device
    // Whole seconds of one minute: many events have the same time.
    const timestamp = new Date(startMs + random.below(60) * 1_000).toISOString()
    const event = {
      eventId: `${prefix}e${isCopy ? random.below(number) : number}`,
      eventType: 'page_view',
      ...(random.chance(0.9) ? { anonymousId } : {}),
      ...(random.chance(0.35) ? { userId: owner } : {}),
      timestamp,
      // A clock that is wrong by an hour is corrected by when the client says it sent the event.
      ...(random.chance(0.1) ? { sentAt: new Date(startMs - 3_600_000).toISOString() } : {}),
      receivedAt: new Date(startMs + 61_000 + number).toISOString()
    }
    const value = Buffer.from(JSON.stringify(event))
    const appendedAtMs = startMs + 61_000 + number
    records.push({ topic: rawTopic(projectId), partition: 0, offset: BigInt(number), value, appendedAtMs })
  }
  const changes = Array.from({ length: 6 }, (): IdentityChange =>
    random.chance(0.3)
      ? { kind: 'undo' }
      : { kind: 'merge', from: userOf(random.below(8)), into: userOf(random.below(8)) }
  )
  return { records, changes }
}

/** Of the copies of each event the one that is shown: the highest version. */
function firstCopies(rows: readonly EventRow[]): readonly EventRow[] {
  const kept = new Map<string, EventRow>()
  for (const row of rows) {
    const known = kept.get(row.eventId)
    if (known === undefined || BigInt(known.version) < BigInt(row.version)) kept.set(row.eventId, row)
  }
  return [...kept.values()]
}

/** Who did each event, by its id, given all records of a project in any order and the merges in force. */
export function expectedPersons(
  records: readonly RawRecord[],
  edges: readonly PersonEdge[]
): ReadonlyMap<string, ExpectedPerson> {
  const rows = records.map((record) => enrich(record)).flatMap((enriched) => (enriched.ok ? [enriched.row] : []))
  const links: readonly IdentityLink[] = rows.filter(
    ({ userId, anonymousId }) => namesUser(userId) && namesDevice(anonymousId)
  )
  const facts = createIdentityFacts(links, edges)
  const events = firstCopies(rows)
  return new Map(
    events
      .toSorted((left, right) => compareIds(left.eventId, right.eventId))
      .map((event) => {
        const { personId, personIdAtEvent } = attribute(event, facts)
        return [event.eventId, { personId, personIdAtEvent }]
      })
  )
}
