// Dictionaries that follow their tables, which this engine does not do by itself: what changed is seen by the numbers of
// the parts, so nothing is loaded twice for the same rows.

/** Tables that dictionaries are made of, and what they fill. Those of a database change together. */
const sources = ['identity_links', 'person_edges'] as const

/** Runs a statement; the answer as tab-separated lines. */
export type RunText = (sql: string) => Promise<string>

// A block number counts inserts and never falls by merging; a data version counts mutations.
const stateOfSources = `SELECT database, groupArray((table, newest)) FROM (
  SELECT database, table, (max(max_block_number), max(data_version)) AS newest FROM system.parts
  WHERE active AND table IN (${sources.map((name) => `'${name}'`).join(', ')}) GROUP BY database, table ORDER BY ALL
) GROUP BY database`

/**
 * A function that loads the dictionaries of every database whose sources differ from its last call; resolves with the
 * number loaded. A database of which one fails is tried again by the next call; it never throws.
 */
export function createReload(run: RunText): () => Promise<number> {
  const seen = new Map<string, string>()
  return async function reload() {
    const dictionaries = await lines(run, 'SELECT database, name FROM system.dictionaries ORDER BY ALL')
    if (dictionaries.length === 0) return 0
    const states = new Map(await lines(run, stateOfSources))
    let loaded = 0
    for (const [database, names] of Map.groupBy(dictionaries, ([owner]) => owner)) {
      const own = names.map(([, name]) => name)
      // By name too: one that migrations just made is not loaded yet.
      const state = `${states.get(database) ?? ''} ${own.join(' ')}`
      if (seen.get(database) === state) continue
      let failed = false
      for (const name of own) {
        try {
          await run(`SYSTEM RELOAD DICTIONARY \`${database}\`.\`${name}\``)
          loaded++
        } catch {
          failed = true
        }
      }
      if (!failed) seen.set(database, state)
    }
    return loaded
  }
}

async function lines(run: RunText, sql: string): Promise<readonly (readonly [string, string])[]> {
  const text = await run(sql).catch(() => '')
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [first = '', second = ''] = line.split('\t')
      return [first, second] as const
    })
}
