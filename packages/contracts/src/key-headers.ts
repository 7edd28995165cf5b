// Who asks: the API key of a request, as `Authorization: Bearer` or `X-API-Key`, and what the key store says of it.
import type { ProblemCode } from './problem.ts'

/**
 * What the key store says about a raw key: positively good, positively bad, or not known because it is away. `P` is what
 * the asker needs to know of the project: its id alone, or a ProjectContext.
 */
export type KeyDecision<P extends { readonly projectId: string } = { readonly projectId: string }> =
  | ({ readonly kind: 'ok' } & P)
  | { readonly kind: 'invalid' | 'forbidden' | 'unavailable' }

/** The headers that carry a key. */
export interface KeyHeaders {
  readonly authorization?: string | undefined
  readonly 'x-api-key'?: string | readonly string[] | undefined
}

const bearer = 'bearer '

/** The key of a request; undefined when there is none. A bearer token comes before `X-API-Key`. */
export function apiKeyOf(headers: KeyHeaders): string | undefined {
  const { authorization, 'x-api-key': plain } = headers
  if (authorization !== undefined && authorization.slice(0, bearer.length).toLowerCase() === bearer) {
    const token = authorization.slice(bearer.length).trim()
    if (token !== '') return token
  }
  return typeof plain === 'string' && plain !== '' ? plain : undefined
}

/** The problem of a decision that lets nobody in. */
export const keyProblems = {
  invalid: 'unauthorized',
  forbidden: 'forbidden',
  unavailable: 'unavailable'
} as const satisfies Record<Exclude<KeyDecision['kind'], 'ok'>, ProblemCode>
