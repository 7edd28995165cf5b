// The hard end of a local pipeline, for a second Ctrl-C: every recorded process gets SIGKILL, in no order.
import { rmSync } from 'node:fs'
import { layout } from './layout.ts'
import { runningParts } from './leftovers.ts'
import { signalProcess } from './process-record.ts'
import { runningServices } from './service-record.ts'

/** Kills the services and parts of a data folder and removes its lock. Synchronous: the caller exits next. */
export function endEverything(dataDir: string): void {
  for (const record of [...runningServices(dataDir), ...runningParts(dataDir)]) signalProcess(record, 'SIGKILL')
  rmSync(layout.lock(dataDir), { force: true })
}
