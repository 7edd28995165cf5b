// Bugs on purpose, switched on only under test: the fault harness must catch each, or the harness proves nothing.
import { done } from '@millrace/kernel'
import { warehouseTables } from '@millrace/warehouse/tables'
import { createLoad } from './load.ts'
import type { Load, LoadBatch, LoadContext, LoadDeps } from './load.ts'

/** Names of the bugs in MILLRACE_PLANTED_BUG. */
const commitBeforeInsert = 'loader-commit-before-insert'
const sideTablesAfterCommit = 'loader-side-tables-after-commit'
const trustTokens = 'loader-trusts-tokens'

/** How long the side tables wait with `sideTablesAfterCommit`: long enough for a commit, and for a kill behind it. */
const sideDelayMs = 1_500

/** As `createLoad`, with the bugs that are planted. */
export function createPlantedLoad(deps: LoadDeps, planted: ReadonlySet<string>): Load {
  if (planted.has(commitBeforeInsert)) return loadTooLate(createLoad(deps))
  if (planted.has(sideTablesAfterCommit)) return loadSidesLater(deps)
  if (planted.has(trustTokens)) return createLoad({ ...deps, settingsOf: tokenSettings })
  return createLoad(deps)
}

/** Says done at once and inserts later, so a crash in between loses rows. */
function loadTooLate(load: Load): Load {
  return async (batch) => {
    void load(batch, later()).catch(() => undefined)
    return batch.items.map(() => done)
  }
}

/** Says done when the events are in, so a crash before the rest loses what is derived from them. */
function loadSidesLater(deps: LoadDeps): Load {
  const events = createLoad({ ...deps, tables: warehouseTables.slice(0, 1) })
  const sides = createLoad({ ...deps, tables: warehouseTables.slice(1) })
  return async (batch, context) => {
    const outcomes = await events(batch, context)
    void deps.clock
      .sleep(sideDelayMs)
      .then(() => sides(batch, later()))
      .catch(() => undefined)
    return outcomes
  }
}

/** Names the range to the server and trusts it to know what it still has: rows that were deleted stay away for good. */
function tokenSettings({ ranges }: LoadBatch) {
  const token = ranges.map(({ topic, partition, from, to }) => `${topic}:${partition}:${from}-${to}`).join(' ')
  return { insert_deduplicate: 1, insert_deduplication_token: token }
}

function later(): LoadContext {
  return { signal: new AbortController().signal, progress: () => {} }
}
