// Lets the pipeline settle and then reads everything that is known about a project: the ledger, the topics, the sinks.
import { dlqTopic, processedTopic, rawTopic } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import type { Admin } from '@millrace/kafka'
import { eventually } from '../eventually.ts'
import type { Pipeline } from '../pipeline.ts'
import { countEventIds, toLetterFacts, toLogFacts } from './evidence.ts'
import { readLedger } from './ledger.ts'
import type { Evidence } from './oracle.ts'
import { scanTopic } from './scan-topic.ts'

/** Records of `topic` that `group` has not committed yet. */
export async function lagOf(
  admin: Pick<Admin, 'ranges' | 'groupOffsets'>,
  group: string,
  topic: string
): Promise<bigint> {
  const [ranges, offsets] = await Promise.all([admin.ranges(topic), admin.groupOffsets(group, topic)])
  return ranges.reduce((lag, { partition, start, end }) => lag + (end - (offsets.get(partition) ?? start)), 0n)
}

/** Resolves when `groups` have committed everything of the project's raw topic; throws after `timeoutMs`. */
export async function settle(
  pipeline: Pick<Pipeline, 'admin'>,
  projectId: string,
  { groups = ['process', 'load'], timeoutMs = 120_000 }: { groups?: readonly string[]; timeoutMs?: number } = {}
): Promise<void> {
  const topic = rawTopic(projectId)
  for (const group of groups) {
    const caughtUp = async (): Promise<boolean> => (await lagOf(pipeline.admin, group, topic)) === 0n
    await eventually(`group ${group} at the end of ${topic}`, caughtUp, { timeoutMs, intervalMs: 250 })
  }
}

/** What the oracle compares where only the gateway runs: the ledger and the log. */
export async function gatherLog(pipeline: Pipeline, projectId: string, ledgerFile: string): Promise<Evidence> {
  const scan = { admin: pipeline.admin, client: pipeline.kafka.consumers, clock: systemClock, timeoutMs: 120_000 }
  const log = toLogFacts(await scanTopic(scan, rawTopic(projectId)))
  return { ledger: await readLedger(ledgerFile), log, letters: [], sinks: [] }
}

/** Everything the oracle compares, of a pipeline that has settled. */
export async function gatherEvidence(pipeline: Pipeline, projectId: string, ledgerFile: string): Promise<Evidence> {
  const scan = (topic: string) =>
    scanTopic({ admin: pipeline.admin, client: pipeline.kafka.consumers, clock: systemClock }, topic)
  const raw = await scan(rawTopic(projectId))
  const processed = await scan(processedTopic(projectId))
  const letters = await scan(dlqTopic(projectId))
  return {
    ledger: await readLedger(ledgerFile),
    log: toLogFacts(raw),
    letters: toLetterFacts(letters),
    sinks: [
      { name: 'the view events', group: 'load', copies: 'once', ids: await pipeline.visibleIds(projectId) },
      {
        name: processedTopic(projectId),
        group: 'process',
        copies: 'atLeastOnce',
        ids: countEventIds(processed)
      }
    ]
  }
}
