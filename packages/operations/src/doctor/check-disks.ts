// Space where stores write: disks that ClickHouse names, and folders of this machine.
import { statfs } from 'node:fs/promises'
import type { Clickhouse } from '@millrace/stores/clickhouse'
import { findingsOf, percent } from './finding.ts'
import type { Finding } from './finding.ts'

export interface DiskCheckDeps {
  readonly clickhouse: Pick<Clickhouse, 'rows'>
  /** Folders of this machine that a store or a service writes to. */
  readonly folders: readonly string[]
}

interface Disk {
  readonly name: string
  readonly free: number
  readonly total: number
}

const warnShare = 0.15
const failShare = 0.05

/** Every disk that can be seen from here. Throws PIPE_CLICKHOUSE_UNAVAILABLE, and what the system says of a folder. */
export async function checkDisks({ clickhouse, folders }: DiskCheckDeps): Promise<readonly Finding[]> {
  const rows = await clickhouse.rows<{ name: string; free: string; total: string }>(
    'SELECT name, toString(free_space) AS free, toString(total_space) AS total FROM system.disks WHERE total_space > 0'
  )
  const disks: Disk[] = rows.map(({ name, free, total }) => ({
    name: `ClickHouse ${name}`,
    free: Number(free),
    total: Number(total)
  }))
  for (const folder of folders) {
    const { bavail, blocks, bsize } = await statfs(folder)
    disks.push({ name: folder, free: bavail * bsize, total: blocks * bsize })
  }
  return disks.map(judgeDisk)
}

/** What `free` of `total` bytes mean: a store that cannot write stops, and its group falls behind. */
export function judgeDisk({ name, free, total }: Disk): Finding {
  const found = findingsOf('disks')
  const share = free / total
  const detail = `${percent(free, total)} of ${gibibytes(total)} free`
  const fix = 'a larger disk, or a shorter retention of what lies there (docs/operations.md)'
  if (share < failShare) return found.failure(name, detail, fix)
  return share < warnShare ? found.warning(name, detail, fix) : found.ok(name, detail)
}

function gibibytes(bytes: number): string {
  return `${(bytes / 1024 ** 3).toFixed(0)} GiB`
}
