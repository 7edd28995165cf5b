// A bug on purpose, switched on only under test: it must be caught by the fault harness, or the harness proves nothing.
import { done } from '@millrace/kernel'
import type { Outcome } from '@millrace/kernel'

type Handle = (
  batch: { readonly items: readonly string[] },
  context: { readonly signal: AbortSignal }
) => Promise<readonly Outcome[]>

/** Name of the bug in MILLRACE_PLANTED_BUG. */
const commitBeforeInsert = 'loader-commit-before-insert'

/** `load`, or with the bug planted: answers done at once and inserts later, so a crash in between loses rows. */
export function withPlantedBugs(load: Handle, planted: ReadonlySet<string>): Handle {
  if (!planted.has(commitBeforeInsert)) return load
  return async function loadTooLate(batch) {
    void load(batch, { signal: new AbortController().signal }).catch(() => undefined)
    return batch.items.map(() => done)
  }
}
