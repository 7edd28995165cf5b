// Who sends: the project behind the key of a request, and whether its page may send at all.
import { isOriginAllowed, keyProblems } from '@millrace/contracts'
import type { KeyDecision, ProblemCode, ProjectContext } from '@millrace/contracts'

/** The key store as the gateway needs it; synchronous while it remembers the key. */
export interface KeyStore {
  authenticate(rawKey: string, need: 'write'): KeyDecision<ProjectContext> | Promise<KeyDecision<ProjectContext>>
}

export type Who =
  | { readonly ok: true; readonly project: ProjectContext }
  | { readonly ok: false; readonly code: ProblemCode; readonly detail?: string }

/** Where a key was found. A page is readable by everybody, and so is what it sends. */
export interface KeySource {
  readonly key: string
  readonly inBody: boolean
  /** The Origin header, which browsers add. */
  readonly origin: string | undefined
}

const secretPrefix = 'mr_s_'
const secretInPage = 'this is a secret key; a page must use a write key, and this one should be revoked'

/** Decides who sends. `corsOrigins` is for projects that name no origins. */
export function whoSends(keys: KeyStore, source: KeySource, corsOrigins: readonly string[]): Who | Promise<Who> {
  const asked = keys.authenticate(source.key, 'write')
  if (asked instanceof Promise) return asked.then((decision) => judge(decision, source, corsOrigins))
  return judge(asked, source, corsOrigins)
}

function judge(decision: KeyDecision<ProjectContext>, source: KeySource, corsOrigins: readonly string[]): Who {
  if (decision.kind !== 'ok') return { ok: false, code: keyProblems[decision.kind] }
  const { key, inBody, origin } = source
  if ((inBody || origin !== undefined) && key.startsWith(secretPrefix)) {
    return { ok: false, code: 'forbidden', detail: secretInPage }
  }
  if (origin !== undefined && !isOriginAllowed(origin, decision.settings.corsOrigins, corsOrigins)) {
    return { ok: false, code: 'origin_not_allowed' }
  }
  return { ok: true, project: decision }
}
