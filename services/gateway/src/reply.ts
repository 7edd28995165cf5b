// Replies: what an acceptance, a batch of them or a problem looks like on the wire.
import { problemCatalog, problemContentType, toProblem } from '@millrace/contracts'
import type { ProblemCode } from '@millrace/contracts'
import type { Acceptance } from './acceptance.ts'

/** A reply before it is written. */
export interface HttpReply {
  readonly status: number
  readonly contentType: string
  /** Seconds for the Retry-After header. */
  readonly retryAfter?: number | undefined
  /** The Allow header. */
  readonly allow?: string
  readonly body: string
}

const json = 'application/json; charset=utf-8'
const problemType = `${problemContentType}; charset=utf-8`

/** Seconds after which a repeat makes sense, before jitter. */
const retryAfterSeconds = { in_progress: 2, unknown: 5, unavailable: 5, rate_limited: 1 } as const

const generatedIdHint = 'the event had no eventId; a repeat without this one is stored as another event'

/** The reply to an event. `random` gives [0, 1) and spreads the repeats of many clients. */
export function toReply(acceptance: Acceptance, random: () => number): HttpReply {
  switch (acceptance.kind) {
    case 'accepted': {
      const hint = acceptance.generatedId ? `,"hint":${JSON.stringify(generatedIdHint)}` : ''
      const body = `{"status":"accepted","eventId":${JSON.stringify(acceptance.eventId)}${hint}}`
      return { status: 202, contentType: json, body }
    }
    case 'duplicate': {
      const body = `{"status":"duplicate","eventId":${JSON.stringify(acceptance.eventId)}}`
      return { status: 409, contentType: json, body }
    }
    case 'rejected': {
      const { ok: _ok, status: _status, code, ...extra } = acceptance.refusal
      return problemReply(code, extra, random)
    }
    case 'retry':
      return problemReply(acceptance.code, { eventId: acceptance.eventId }, random, acceptance.retryAfterMs)
  }
}

/**
 * The reply to a batch, one item per event in its order; `idOf` gives the id of an event that was refused, as far as it
 * has one. 202: nothing to repeat or to mend; 422: nothing stored and nothing to repeat; 429 or 503: everything to
 * repeat; 207: look at the items.
 */
export function toBatchReply(
  acceptances: readonly Acceptance[],
  idOf: (index: number) => string | undefined,
  random: () => number
): HttpReply {
  let rejected = 0
  let retried = 0
  let limited = 0
  let waitSeconds = 0
  const items: string[] = []
  for (let index = 0; index < acceptances.length; index++) {
    const acceptance = acceptances[index]!
    items.push(toItem(acceptance, index, idOf))
    if (acceptance.kind === 'rejected') rejected++
    if (acceptance.kind !== 'retry') continue
    retried++
    if (acceptance.code === 'rate_limited') limited++
    waitSeconds = Math.max(waitSeconds, waitOf(acceptance.code, acceptance.retryAfterMs))
  }
  const total = acceptances.length
  const status =
    rejected + retried === 0 ? 202 : rejected === total ? 422 : retried < total ? 207 : limited === total ? 429 : 503
  const retryAfter = retried === 0 ? undefined : withJitter(waitSeconds, random)
  return { status, contentType: json, retryAfter, body: `{"items":[${items.join(',')}]}` }
}

function toItem(acceptance: Acceptance, index: number, idOf: (index: number) => string | undefined): string {
  const { kind } = acceptance
  if (kind === 'accepted' || kind === 'duplicate') {
    return `{"eventId":${JSON.stringify(acceptance.eventId)},"status":"${kind}"}`
  }
  if (kind === 'retry') {
    return `{"eventId":${JSON.stringify(acceptance.eventId)},"status":"retry","code":"${acceptance.code}"}`
  }
  const { ok: _ok, status: _status, ...refusal } = acceptance.refusal
  return JSON.stringify({ eventId: idOf(index), status: 'rejected', ...refusal })
}

/** The reply of a problem; those that ask for a repeat say when: after `retryAfterMs`, or as long as the code takes. */
export function problemReply(
  code: ProblemCode,
  extra: Readonly<Record<string, unknown>>,
  random: () => number,
  retryAfterMs?: number
): HttpReply {
  const reply = {
    status: problemCatalog[code].status,
    contentType: problemType,
    body: JSON.stringify(toProblem(code, extra))
  }
  if (!isRetried(code)) return reply
  return { ...reply, retryAfter: withJitter(waitOf(code, retryAfterMs), random) }
}

function isRetried(code: ProblemCode): code is keyof typeof retryAfterSeconds {
  return Object.hasOwn(retryAfterSeconds, code)
}

/** Whole seconds, at least one. */
function waitOf(code: keyof typeof retryAfterSeconds, retryAfterMs: number | undefined): number {
  return retryAfterMs === undefined ? retryAfterSeconds[code] : Math.max(1, Math.ceil(retryAfterMs / 1_000))
}

/** Up to twice the time: clients that were turned away together do not come back together. */
function withJitter(seconds: number, random: () => number): number {
  return seconds + Math.floor((seconds + 1) * random())
}
