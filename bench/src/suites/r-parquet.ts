// R-parquet: writing archive files, against the ClickHouse engine writing the same table: rows by CPU, and bytes per row.
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { openBenchStack } from '../bench-stack.ts'
import { loopVariant, startLoopChild } from '../loop-child.ts'
import type { ParquetTask } from '../references/parquet-loop.ts'
import type { Finding } from '../result.ts'
import type { BenchSettings, OpenSuite, Suite } from './suite.ts'

export const rParquet: Suite = {
  name: 'r-parquet',
  about: 'archive files from raw records and from rows, against the ClickHouse engine writing the same table',
  comparisons: [
    { variant: 'writer', reference: 'engine', goal: 0.35, floor: 0.25 },
    { variant: 'archive', reference: 'engine, ndjson', goal: 0.35, floor: 0.25 }
  ],
  open
}

async function open({ seed }: BenchSettings, log: (line: string) => void): Promise<OpenSuite> {
  await using opening = new AsyncDisposableStack()
  const stack = opening.use(await openBenchStack(log))
  const { CLICKHOUSE_URL } = stack.endpoints
  const folder = mkdtempSync(join(stack.folder, 'parquet-'))
  opening.defer(() => rmSync(folder, { recursive: true, force: true }))
  const url = new URL(CLICKHOUSE_URL)
  url.pathname = '/default'
  const env = { CLICKHOUSE_URL: url.href, FOLDER: folder, SEED: String(seed) }
  const child = opening.use(await startLoopChild<ParquetTask>('references/parquet-loop.ts', env))
  const engine = [stack.pidOf('clickhouse')]
  const opened = opening.move()
  return {
    variants: [
      loopVariant('archive', child, { how: 'archive' }),
      loopVariant('writer', child, { how: 'writer' }),
      loopVariant('engine', child, { how: 'engine' }, engine),
      loopVariant('engine, ndjson', child, { how: 'engine, ndjson' }, engine)
    ],
    otherPids: () => [...stack.pids(), child.pid],
    versions: stack.versions,
    settings: { rowsPerFile: 40_000, rowsPerGroup: 20_000, codec: 'zstd' },
    findings: async () => sizes(folder),
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

function sizes(folder: string): readonly Finding[] {
  const perRow = (name: string): number => statSync(join(folder, name)).size / 40_000
  const [ours, engine] = [perRow('ours.parquet'), perRow('engine.parquet')]
  return [
    { name: 'archive, bytes per row', value: ours, unit: 'bytes' },
    { name: 'engine, bytes per row', value: engine, unit: 'bytes' },
    { name: 'archive / engine, bytes per row', value: ours / engine, unit: 'x', goal: 1.1, ceiling: 1.3 }
  ]
}
