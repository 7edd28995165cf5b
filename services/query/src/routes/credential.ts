// Who asks: every route begins with the key, and the project comes from it alone.
import type { FastifyReply, FastifyRequest } from 'fastify'
import { apiKeyOf, keyProblems } from '@millrace/contracts'
import type { KeyDecision } from '@millrace/contracts'
import { sendProblem } from '@millrace/service'

/** The key store as this service needs it. */
export interface ReadKeyStore {
  authenticate(rawKey: string, need: 'read'): KeyDecision | Promise<KeyDecision>
}

/** The project that may be read; undefined when the request was answered with a problem. */
export async function projectOf(
  keys: ReadKeyStore,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<string | undefined> {
  const key = apiKeyOf(request.headers)
  const decision: KeyDecision = key === undefined ? { kind: 'invalid' } : await keys.authenticate(key, 'read')
  if (decision.kind === 'ok') return decision.projectId
  sendProblem(reply, keyProblems[decision.kind], keyHint(decision.kind))
  return undefined
}

function keyHint(kind: 'invalid' | 'forbidden' | 'unavailable'): Readonly<Record<string, unknown>> {
  if (kind === 'invalid') return { detail: 'send a secret key as Authorization: Bearer mr_s_...' }
  return kind === 'forbidden' ? { detail: 'a write key cannot read; use the secret key of the project' } : {}
}
