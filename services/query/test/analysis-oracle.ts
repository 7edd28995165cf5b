// What the warehouse is asked about funnels, retention and values, computed again from a list of events, the slow and plain
// way: every try of every person.
import type { Filter } from '../src/analysis/filters.ts'
import type { FunnelQuestion } from '../src/analysis/funnel.ts'
import type { RetentionQuestion } from '../src/analysis/retention.ts'
import type { Step } from '../src/analysis/steps.ts'
import type { TopQuestion } from '../src/analysis/top.ts'

export interface PlainEvent {
  readonly eventId: string
  readonly eventType: string
  readonly ms: number
  readonly partition: number
  readonly offset: number
  readonly userId: string
  readonly anonymousId: string
  readonly personId: string
  readonly country: string
  readonly properties: Readonly<Record<string, unknown>>
}

/** In the order of time and the log. */
export function compareEvents(left: PlainEvent, right: PlainEvent): number {
  return left.ms - right.ms || left.partition - right.partition || left.offset - right.offset
}

const rawOf = ({ userId, anonymousId }: PlainEvent): string =>
  userId !== '' ? `u ${userId}` : anonymousId === '' ? '' : `a ${anonymousId}`

function byPerson(events: readonly PlainEvent[], identity: 'person' | 'raw'): readonly (readonly PlainEvent[])[] {
  const groups = Map.groupBy(events, (event) => (identity === 'raw' ? rawOf(event) : event.personId))
  groups.delete('')
  return [...groups.values()].map((group) => group.toSorted(compareEvents))
}

const valueOf = (event: PlainEvent, property: string): unknown =>
  property === 'country' ? event.country : event.properties[property.slice('properties.'.length)]

/** As text, as values are told apart; empty: there is none. */
function textOf(event: PlainEvent, property: string): string {
  const value = valueOf(event, property)
  if (typeof value === 'string') return value
  return value === undefined || value === null || typeof value === 'object' ? '' : JSON.stringify(value)
}

function holds(event: PlainEvent, { property, operator, values }: Filter): boolean {
  const value = valueOf(event, property)
  const isThere = value !== undefined && value !== null && !(property === 'country' && value === '')
  const someText = (test: (text: string, part: string) => boolean): boolean =>
    typeof value === 'string' && values.some((part) => test(value, String(part)))
  const isNumber = typeof value === 'number'
  const [bound] = values as readonly number[]
  switch (operator) {
    case 'is':
      return values.includes(value as string)
    case 'isNot':
      return !values.includes(value as string)
    case 'contains':
      return someText((text, part) => text.includes(part))
    case 'notContains':
      return !someText((text, part) => text.includes(part))
    case 'startsWith':
      return someText((text, part) => text.startsWith(part))
    case 'endsWith':
      return someText((text, part) => text.endsWith(part))
    case 'gt':
      return isNumber && value > (bound ?? 0)
    case 'gte':
      return isNumber && value >= (bound ?? 0)
    case 'lt':
      return isNumber && value < (bound ?? 0)
    case 'lte':
      return isNumber && value <= (bound ?? 0)
    case 'isSet':
      return isThere
    case 'isNotSet':
      return !isThere
  }
}

const meets = (event: PlainEvent, { eventType, filters }: Step): boolean =>
  event.eventType === eventType && filters.every((filter) => holds(event, filter))

/** Persons that reached each step, by the value they are told apart by. */
export function plainFunnel(question: FunnelQuestion, events: readonly PlainEvent[]): ReadonlyMap<string, number[]> {
  const { span, steps, windowMs, order, identity, breakdown } = question
  const first = steps[0] as Step
  const inSpan = ({ ms }: PlainEvent): boolean => ms >= span.fromMs && ms < span.toMs
  const reached = new Map<string, number[]>()
  for (const own of byPerson(events, identity)) {
    const starts = own.filter((event) => inSpan(event) && meets(event, first))
    const [earliest] = starts
    if (earliest === undefined) continue
    const level = Math.max(
      ...starts.map((start) => {
        const untilMs = start.ms + windowMs
        return order === 'strict' ? runFrom(own, start, steps, untilMs) : chainFrom(own, [start], steps, untilMs)
      })
    )
    const value = breakdown === undefined ? '' : textOf(earliest, breakdown.property)
    const counts = reached.get(value) ?? steps.map(() => 0)
    reached.set(
      value,
      counts.map((count, step) => (step < level ? count + 1 : count))
    )
  }
  return reached
}

function chainFrom(
  own: readonly PlainEvent[],
  chain: readonly PlainEvent[],
  steps: readonly Step[],
  untilMs: number
): number {
  const step = steps[chain.length]
  const last = chain.at(-1) as PlainEvent
  if (step === undefined) return chain.length
  const next = own.filter(
    (event) => event.ms >= last.ms && event.ms <= untilMs && !chain.includes(event) && meets(event, step)
  )
  return Math.max(chain.length, ...next.map((event) => chainFrom(own, [...chain, event], steps, untilMs)))
}

function runFrom(own: readonly PlainEvent[], start: PlainEvent, steps: readonly Step[], untilMs: number): number {
  const at = own.indexOf(start)
  const broken = steps.findIndex((step, index) => {
    const event = own[at + index]
    return event === undefined || event.ms > untilMs || !meets(event, step)
  })
  return broken < 0 ? steps.length : broken
}

/** `[size, returned...]` of each cohort. */
export function plainRetention(question: RetentionQuestion, events: readonly PlainEvent[]): readonly number[][] {
  const { first, returning, identity, periods, cohorts, starts } = question
  const periodOf = (ms: number): number => starts.findLastIndex(({ startMs }) => startMs <= ms)
  const told = Array.from({ length: cohorts }, () => Array.from({ length: periods + 1 }, () => 0))
  for (const own of byPerson(events, identity)) {
    const began = own.find((event) => meets(event, first) && periodOf(event.ms) >= 0 && periodOf(event.ms) < cohorts)
    if (began === undefined) continue
    const cohort = periodOf(began.ms)
    const row = told[cohort] as number[]
    row[0] = (row[0] ?? 0) + 1
    const back = new Set(
      own.filter((event) => event.ms > began.ms && meets(event, returning)).map(({ ms }) => periodOf(ms) - cohort)
    )
    for (const period of back) if (period < periods) row[period + 1] = (row[period + 1] ?? 0) + 1
  }
  return told
}

/** Values with their events and users, all of them, and the total. */
export function plainTop(question: TopQuestion, events: readonly PlainEvent[]) {
  const { span, dimension, eventType, filters, identity } = question
  const meant = events.filter(
    (event) =>
      event.ms >= span.fromMs &&
      event.ms < span.toMs &&
      (eventType === undefined || event.eventType === eventType) &&
      filters.every((filter) => holds(event, filter)) &&
      textOf(event, dimension) !== ''
  )
  const count = (some: readonly PlainEvent[]) => ({ events: some.length, users: byPerson(some, identity).length })
  const groups = Map.groupBy(meant, (event) => textOf(event, dimension))
  const values = [...groups].map(([value, some]) => ({ value, ...count(some) }))
  const without = (listed: readonly string[]) =>
    count(meant.filter((event) => !listed.includes(textOf(event, dimension))))
  return { values, total: count(meant), without }
}
