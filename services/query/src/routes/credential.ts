// Who asks: every route begins with the key, and the project comes from it alone.
import type { FastifyReply, FastifyRequest } from 'fastify'
import { apiKeyOf, keyProblems } from '@millrace/contracts'
import type { KeyDecision } from '@millrace/contracts'
import { sendProblem } from '@millrace/service'

/** A key that may read. */
export interface Reader {
  readonly projectId: string
  /** For the audit. */
  readonly keyId?: string
}

/** The key store as this service needs it. */
export interface ReadKeyStore {
  authenticate(rawKey: string, need: 'read'): KeyDecision<Reader> | Promise<KeyDecision<Reader>>
}

/** Whose project may be read; undefined when the request was answered with a problem. */
export async function readerOf(
  keys: ReadKeyStore,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<Reader | undefined> {
  const key = apiKeyOf(request.headers)
  const decision: KeyDecision<Reader> = key === undefined ? { kind: 'invalid' } : await keys.authenticate(key, 'read')
  if (decision.kind === 'ok') return decision
  sendProblem(reply, keyProblems[decision.kind], keyHint(decision.kind))
  return undefined
}

function keyHint(kind: 'invalid' | 'forbidden' | 'unavailable'): Readonly<Record<string, unknown>> {
  if (kind === 'invalid') return { detail: 'send a secret key as Authorization: Bearer mr_s_...' }
  return kind === 'forbidden' ? { detail: 'a write key cannot read; use the secret key of the project' } : {}
}
