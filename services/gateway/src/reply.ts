// Replies: what an acceptance or a problem looks like on the wire.
import { problemCatalog, problemContentType, toProblem } from '@millrace/contracts'
import type { ProblemCode } from '@millrace/contracts'
import type { Acceptance } from './acceptance.ts'

/** A reply before it is written. */
export interface HttpReply {
  readonly status: number
  readonly contentType: string
  /** Seconds for the Retry-After header. */
  readonly retryAfter?: number
  readonly body: string
}

const json = 'application/json; charset=utf-8'

/** Seconds after which a repeat makes sense, before jitter. */
const retryAfterSeconds = { in_progress: 2, unknown: 5, unavailable: 5, rate_limited: 1 } as const

const generatedIdHint = 'the event had no eventId; a repeat without this one is stored as another event'

/** The reply to an event. `random` gives [0, 1) and spreads the repeats of many clients. */
export function toReply(acceptance: Acceptance, random: () => number): HttpReply {
  switch (acceptance.kind) {
    case 'accepted': {
      const { eventId, generatedId } = acceptance
      const hint = generatedId ? { hint: generatedIdHint } : {}
      return { status: 202, contentType: json, body: JSON.stringify({ status: 'accepted', eventId, ...hint }) }
    }
    case 'duplicate':
      return {
        status: 409,
        contentType: json,
        body: JSON.stringify({ status: 'duplicate', eventId: acceptance.eventId })
      }
    case 'rejected': {
      const { code, pointer, detail } = acceptance.refusal
      return problemReply(code, { pointer, detail }, random)
    }
    case 'retry':
      return problemReply(acceptance.code, { eventId: acceptance.eventId }, random)
  }
}

/** The reply of a problem; those that ask for a repeat say when. */
export function problemReply(
  code: ProblemCode,
  extra: Readonly<Record<string, unknown>>,
  random: () => number
): HttpReply {
  const reply = {
    status: problemCatalog[code].status,
    contentType: problemContentType,
    body: JSON.stringify(toProblem(code, extra))
  }
  if (!isRetried(code)) return reply
  const base = retryAfterSeconds[code]
  return { ...reply, retryAfter: base + Math.floor(base * random()) }
}

function isRetried(code: ProblemCode): code is keyof typeof retryAfterSeconds {
  return Object.hasOwn(retryAfterSeconds, code)
}
