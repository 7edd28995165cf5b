// What a client of the live feed may say, one JSON object a message. Everything else is a problem with a pointer: a
// message is a stranger's text, and no text may end a connection's process.
import { toProblem } from './problem.ts'
import type { Problem, ProblemCode } from './problem.ts'

/** The values of a metric over the last `windows` windows. */
export interface MetricSubscription {
  readonly to: 'metrics'
  readonly metric: string
  readonly granularity: '1m' | '1h'
  /** One combination of dimension values; `*`: each of them; undefined: all of them together. */
  readonly dimension: readonly string[] | '*' | undefined
  readonly windows: number
}

/** Sessions as they close. */
export interface SessionSubscription {
  readonly to: 'sessions'
}

/** Events as they are processed, a sample of them. */
export interface EventSubscription {
  readonly to: 'events'
  /** Share of the events, above 0, to 1. */
  readonly sample: number
  /** These types alone, sorted; empty: every type. */
  readonly eventTypes: readonly string[]
}

export type LiveSubscription = MetricSubscription | SessionSubscription | EventSubscription

export type LiveRequest =
  | { readonly type: 'subscribe'; readonly id: string; readonly subscription: LiveSubscription }
  | { readonly type: 'unsubscribe'; readonly id: string }
  | { readonly type: 'ping' }

/** A request, or the problem of a text that is none; `id` when the text had one. */
export type ParsedLiveRequest =
  | { readonly ok: true; readonly request: LiveRequest }
  | { readonly ok: false; readonly id: string | undefined; readonly problem: Problem }

type Fields = Readonly<Record<string, unknown>>

/** What is wrong, and where. Used inside this file alone: `parseLiveRequest` throws nothing. */
class Refusal extends Error {
  readonly problem: Problem
  constructor(code: ProblemCode, pointer: string, detail: string) {
    super(detail)
    this.problem = toProblem(code, { pointer, detail })
  }
}

const subscriptionKinds = ['metrics', 'sessions', 'events'] as const
const mostWindows = 120
const defaultWindows = { '1m': 60, '1h': 24 } as const
const mostEventTypes = 50

/** Reads one message of a client. Never throws. */
export function parseLiveRequest(text: string): ParsedLiveRequest {
  let id: string | undefined
  try {
    const fields = toFields(text)
    id = typeof fields['id'] === 'string' ? fields['id'].slice(0, 64) : undefined
    return { ok: true, request: toRequest(fields) }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return { ok: false, id, problem: error.problem }
  }
}

function toFields(text: string): Fields {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Refusal('invalid_json', '', 'send one JSON object a message')
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  throw new Refusal('invalid_request', '', 'send one JSON object a message')
}

function toRequest(fields: Fields): LiveRequest {
  switch (fields['type']) {
    case 'ping':
      only(fields, ['type'])
      return { type: 'ping' }
    case 'unsubscribe':
      only(fields, ['type', 'id'])
      return { type: 'unsubscribe', id: idOf(fields) }
    case 'subscribe':
      return { type: 'subscribe', id: idOf(fields), subscription: toSubscription(fields) }
    default:
      throw new Refusal('invalid_field', '/type', 'type must be subscribe, unsubscribe or ping')
  }
}

function toSubscription(fields: Fields): LiveSubscription {
  const to = subscriptionKinds.find((kind) => kind === fields['to'])
  switch (to) {
    case 'metrics':
      return toMetrics(fields)
    case 'sessions':
      only(fields, ['type', 'id', 'to'])
      return { to }
    case 'events':
      return toEvents(fields)
    case undefined:
      throw new Refusal('invalid_field', '/to', `to must be one of ${subscriptionKinds.join(', ')}`)
  }
}

function toMetrics(fields: Fields): MetricSubscription {
  only(fields, ['type', 'id', 'to', 'metric', 'granularity', 'dimension', 'windows'])
  const { metric, granularity = '1m', dimension } = fields
  if (typeof metric !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/.test(metric)) {
    throw new Refusal('invalid_field', '/metric', 'metric must be the name of a metric')
  }
  if (granularity !== '1m' && granularity !== '1h') {
    throw new Refusal('invalid_field', '/granularity', 'granularity must be 1m or 1h')
  }
  const { windows = defaultWindows[granularity] } = fields
  if (typeof windows !== 'number' || !Number.isInteger(windows) || windows < 1 || windows > mostWindows) {
    throw new Refusal('invalid_field', '/windows', `windows must be a whole number from 1 to ${mostWindows}`)
  }
  if (dimension !== undefined && dimension !== '*' && !isTexts(dimension, 2)) {
    throw new Refusal('invalid_field', '/dimension', 'dimension must be a list of one or two texts, or *')
  }
  return { to: 'metrics', metric, granularity, dimension, windows }
}

function toEvents(fields: Fields): EventSubscription {
  only(fields, ['type', 'id', 'to', 'sample', 'eventTypes'])
  const { sample = 1, eventTypes = [] } = fields
  if (typeof sample !== 'number' || !(sample > 0 && sample <= 1)) {
    throw new Refusal('invalid_field', '/sample', 'sample must be a number above 0, to 1')
  }
  if (!isTexts(eventTypes, mostEventTypes, 0)) {
    throw new Refusal('invalid_field', '/eventTypes', `eventTypes must be a list of at most ${mostEventTypes} texts`)
  }
  return { to: 'events', sample, eventTypes: [...new Set(eventTypes)].toSorted() }
}

function idOf({ id }: Fields): string {
  if (typeof id === 'string' && id.length >= 1 && id.length <= 64) return id
  throw new Refusal(
    id === undefined ? 'missing_field' : 'invalid_field',
    '/id',
    'id must be a text of 1 to 64 characters'
  )
}

/** Whether `value` is a list of `least` to `most` texts of up to 255 characters. */
function isTexts(value: unknown, most: number, least = 1): value is readonly string[] {
  if (!Array.isArray(value) || value.length < least || value.length > most) return false
  return value.every((each) => typeof each === 'string' && each.length <= 255)
}

function only(fields: Fields, known: readonly string[]): void {
  const unknown = Object.keys(fields).find((name) => !known.includes(name))
  if (unknown === undefined) return
  const pointer = `/${unknown.slice(0, 64).replaceAll('~', '~0').replaceAll('/', '~1')}`
  throw new Refusal('unknown_field', pointer, `the fields here are ${known.join(', ')}`)
}
