// Runs the response table against a gateway that is up: node services/gateway/test/run-response-table.ts URL KEY [ORIGIN]
// KEY is a write key of a project whose events do not matter. Prints each row that is answered otherwise; exits with 1
// if there is one. Another client may read fixtures/responses.json itself: response-table.ts is all there is to it.
import { isDeepStrictEqual } from 'node:util'
import { randomUUID } from 'node:crypto'
import { expectedOf, isLive, outcomeOf, requestOf, rows } from './response-table.ts'
import type { Names, Row } from './response-table.ts'

/** The rows that the gateway at `url` answers otherwise, with what came. */
export async function runResponseTable(url: string, key: string): Promise<readonly string[]> {
  const differences: string[] = []
  for (const row of rows.filter(isLive)) {
    const found = await tryRow(url, row, key)
    if (found !== undefined) differences.push(`${row.name}: ${found}`)
  }
  return differences
}

async function tryRow(url: string, row: Row, key: string): Promise<string | undefined> {
  const run = randomUUID()
  const names: Names = { id: (name) => `${run}-${name}`, key }
  const { method, path, headers, body } = requestOf(row, names)
  const init = body === undefined ? { method, headers } : { method, headers, body: new Uint8Array(body) }
  const response = await fetch(url + path, init)
  const text = await response.text()
  const actual = outcomeOf(row, response.status, (name) => response.headers.get(name) ?? undefined, text)
  const expected = expectedOf(row, names)
  return isDeepStrictEqual(strip(actual), strip(expected)) ? undefined : JSON.stringify(actual)
}

/** JSON forgets members that are undefined, which is what the comparison needs. */
function strip(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

const [, program = '', url, key] = process.argv
if (import.meta.filename === program && url !== undefined && key !== undefined) {
  const differences = await runResponseTable(url, key)
  process.stdout.write(differences.length === 0 ? 'all rows as they must be\n' : `${differences.join('\n')}\n`)
  process.exitCode = differences.length === 0 ? 0 : 1
}
