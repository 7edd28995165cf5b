// The gate of the drop rules: events that an operator wants dropped are refused for good, so that clients do not send them
// again, and counted. A project without rules costs one look.
import { createDropMatcher } from '@millrace/contracts'
import type { DropKind, ProjectSettings } from '@millrace/contracts'
import type { Acceptance, Gate } from './acceptance.ts'

/** The gate; `onDropped` is told of each event that it turns away. */
export function createDropGate(onDropped: () => void): Gate {
  // Settings are read anew now and then, and then are another object.
  const matchers = new WeakMap<ProjectSettings, ReturnType<typeof createDropMatcher>>()
  return ({ settings }, events) => {
    const { drops } = settings
    if (drops === undefined) return undefined
    let matches = matchers.get(settings)
    if (matches === undefined) matchers.set(settings, (matches = createDropMatcher(drops)))
    const kinds = events.map(({ event }) => matches(event))
    if (kinds.every((kind) => kind === undefined)) return undefined
    return kinds.map((kind) => {
      if (kind === undefined) return undefined
      onDropped()
      return dropped(kind)
    })
  }
}

function dropped(kind: DropKind): Acceptance {
  const detail = `events with this ${kind} are dropped by a rule of the operator; not stored by this request`
  return { kind: 'rejected', refusal: { ok: false, status: 422, code: 'event_dropped', pointer: `/${kind}`, detail } }
}
