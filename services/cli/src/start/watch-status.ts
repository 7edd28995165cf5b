// Reads the pipeline's status again and again until it is told to stop; a broker that is away is a line, not an end.
import { kafkaFields, load } from '@millrace/config'
import { openKafka } from '@millrace/kafka'
import { AppError } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Endpoints } from '@millrace/local-stack/endpoints'
import { createSilentLogger } from '@millrace/observability'
import { readPipelineStatus, renderStatus } from './pipeline-status.ts'
import type { PipelineStatus } from './pipeline-status.ts'

export interface WatchOptions {
  readonly endpoints: Endpoints
  readonly groups: readonly string[]
  readonly everyMs: number
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly onStatus: (status: PipelineStatus, line: string) => void
  readonly onTrouble: (line: string) => void
}

/** Resolves when `signal` aborts. */
export async function watchStatus(options: WatchOptions): Promise<void> {
  const { endpoints, groups, everyMs, clock, signal, onStatus, onTrouble } = options
  await using kafka = await openKafka(load(kafkaFields, endpoints), { log: createSilentLogger(), clientId: 'start' })
  const admin = await kafka.admin()
  let before: { status: PipelineStatus; atMs: number } | undefined
  while (!signal.aborted) {
    try {
      const status = await readPipelineStatus(admin, groups)
      const atMs = clock.monotonic()
      const since = before === undefined ? undefined : { status: before.status, agoMs: atMs - before.atMs }
      before = { status, atMs }
      onStatus(status, renderStatus(status, since))
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      onTrouble(`no status: ${error.message}`)
    }
    await clock.sleep(everyMs, signal).catch(() => {})
  }
}
