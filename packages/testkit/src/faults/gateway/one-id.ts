// One event, sent 10,000 times at the same time: it is accepted once and there once.
import type { FaultCase } from '../fault-case.ts'
import { createEventFactory } from '../../event-factory.ts'
import { createHttpSender } from '../http-sender.ts'
import { bytesHash, openLedger } from '../ledger.ts'
import type { LedgerEntry } from '../ledger.ts'
import { judge } from '../oracle.ts'
import type { Violation } from '../oracle.ts'
import { gatherLog } from '../check-project.ts'
import { openPipeline } from '../../pipeline.ts'
import { join } from 'node:path'
import { complain } from './rig.ts'
import { watchMemory } from './peak-memory.ts'

const sends = 10_000

export const oneId: FaultCase = {
  name: 'one-id',
  title: 'one event sent 10,000 times at once, over 1,000 connections',
  counters: ['accepted', 'duplicate', 'in progress'],
  async run({ stack, folder, planted, seed, counters, say }) {
    await using pipeline = await openPipeline({ endpoints: stack.endpoints, folder, only: ['gateway'], planted, say })
    await using memory = watchMemory(() => pipeline.services.service('gateway').pid)
    const project = await pipeline.createProject('faults')
    const ledgerFile = join(folder, 'ledger.jsonl')
    const { eventId, ...rest } = createEventFactory(seed, { run: project.projectId }).event()
    const body = JSON.stringify({ eventId, ...rest })
    {
      await using ledger = await openLedger(ledgerFile)
      using sender = createHttpSender({
        url: pipeline.eventsUrl,
        writeKey: project.writeKey,
        timeoutMs: 60_000,
        maxConnections: 1_000
      })
      const sendOnce = async (attempt: number): Promise<void> => {
        const sentNs = process.hrtime.bigint()
        const { end, status, code } = await sender.post(body)
        const tookMs = Math.round(Number(process.hrtime.bigint() - sentNs) / 1e6)
        const fixed = { eventId, kind: 'event' as const, attempt, sentNs: String(sentNs), bodyHash: bytesHash(body) }
        await ledger.append({ ...fixed, tookMs, end, status, code })
      }
      await Promise.all(Array.from({ length: sends }, (_, index) => sendOnce(index + 1)))
      await sendOnce(sends + 1)
    }
    const evidence = await gatherLog(pipeline, project.projectId, ledgerFile)
    const of = (status: number, code: string): number =>
      evidence.ledger.filter((entry) => entry.status === status && entry.code === code).length
    counters.count('accepted', of(202, 'accepted'))
    counters.count('duplicate', of(409, 'duplicate'))
    counters.count('in progress', of(503, 'in_progress'))
    const verdict = judge(evidence)
    const violations = [...verdict.violations, ...onlyOnce(evidence.ledger)]
    return { ...verdict, violations, measures: { peakRssBytes: memory.peakBytes() } }
  }
}

function onlyOnce(ledger: readonly LedgerEntry[]): readonly Violation[] {
  const accepted = ledger.filter(({ status }) => status === 202)
  const others = ledger.filter(({ status, code }) => status !== 202 && status !== 409 && code !== 'in_progress')
  return [
    ...complain('edge', 'accepted more than once', accepted.slice(1)),
    ...complain('edge', 'an answer besides accepted, duplicate and in_progress', others)
  ]
}
