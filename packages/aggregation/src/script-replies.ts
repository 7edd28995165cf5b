// Replies that several scripts share. A script answers an array whose first member names the kind.
import { AppError } from '@millrace/kernel'
import type { Broken, WrongEpoch } from './state.ts'

/** A key holds what it must not hold; nothing was written. It does not pass by itself: alarm and build a new epoch. */
export interface WrongType {
  readonly kind: 'wrong-type'
  readonly key: string
}

/** What a script may say instead of doing it. */
export type Refused = WrongEpoch | Broken | WrongType

/** The kind of a reply and what comes with it. */
export function partsOf(reply: unknown): { readonly kind: string; readonly rest: readonly unknown[] } {
  const [kind, ...rest] = Array.isArray(reply) ? (reply as readonly unknown[]) : []
  return { kind: String(kind), rest }
}

/** The refusals that all scripts share. Throws PIPE_REDIS_REFUSED for a reply that no script gives. */
export function toRefused(kind: string, detail: unknown): Refused {
  if (kind === 'EPOCH') return { kind: 'epoch' }
  if (kind === 'BROKEN') return { kind: 'broken', torn: String(detail) }
  if (kind === 'TYPE') return { kind: 'wrong-type', key: String(detail) }
  throw unknownReply(kind)
}

/** PIPE_REDIS_REFUSED for what a script never answers. */
export function unknownReply(kind: string): AppError {
  return new AppError('PIPE_REDIS_REFUSED', 'a script of the live state answered what it never answers', {
    details: { kind }
  })
}
