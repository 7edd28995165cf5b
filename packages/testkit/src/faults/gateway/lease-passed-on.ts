// An attempt outlives its lease: a second attempt has taken the event over when the broker refuses the first one for good.
// The first may give back its own lease only; with the second one's gone too, a third attempt would store a copy that no
// doubt of anybody explains.
import { join } from 'node:path'
import { rawTopic } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import { openPipeline } from '../../pipeline.ts'
import { createRandom } from '../../random.ts'
import { gatherLog } from '../check-project.ts'
import type { FaultCase } from '../fault-case.ts'
import { createHttpSender } from '../http-sender.ts'
import { bytesHash, openLedger } from '../ledger.ts'
import { judge } from '../oracle.ts'

/** The first attempt waits beyond its lease of 15 s, the second until after the refusal of the first. */
const faults = 'gateway.before-produce:delay:18000:1,gateway.before-produce:delay:9000:2'
const env = { DEDUP_LEASE_MS: '15s', MILLRACE_FAULTS: faults }

export const leasePassedOn: FaultCase = {
  name: 'lease-passed-on',
  title: 'an attempt that is refused by the broker after another one has taken over its lease',
  counters: ['refused for good', 'turned away: in progress', 'accepted'],
  async run({ stack, folder, planted, seed, counters, say }) {
    await using pipeline = await openPipeline({
      endpoints: stack.endpoints,
      folder,
      only: ['gateway'],
      planted,
      env,
      say
    })
    const project = await pipeline.createProject('faults')
    const topic = rawTopic(project.projectId)
    const ledgerFile = join(folder, 'ledger.jsonl')
    // Bytes that no codec makes smaller, so that the topic's limit alone decides.
    const random = createRandom(`passed-on-${seed}`)
    const noise = Array.from({ length: 20_000 }, () => String.fromCharCode(33 + random.below(90))).join('')
    const eventId = `passed-on-${seed}`
    const body = JSON.stringify({ eventId, eventType: 'page_view', properties: { noise } })
    {
      await using ledger = await openLedger(ledgerFile)
      using sender = createHttpSender({
        url: pipeline.eventsUrl,
        writeKey: project.writeKey,
        timeoutMs: 60_000,
        maxConnections: 10
      })
      let attempt = 0
      const send = async (): Promise<number> => {
        const own = ++attempt
        const sentNs = process.hrtime.bigint()
        const { end, status, code } = await sender.post(body)
        const tookMs = Math.round(Number(process.hrtime.bigint() - sentNs) / 1e6)
        const fixed = {
          eventId,
          kind: 'event' as const,
          attempt: own,
          sentNs: String(sentNs),
          bodyHash: bytesHash(body)
        }
        await ledger.append({ ...fixed, tookMs, end, status, code })
        if (status === 413) counters.count('refused for good')
        if (status === 503 && code === 'in_progress') counters.count('turned away: in progress')
        if (status === 202) counters.count('accepted')
        return status
      }
      await pipeline.admin.alterTopicConfig(topic, { 'max.message.bytes': '4096' })
      const first = send()
      await systemClock.sleep(16_000)
      say('the first lease is over, a second attempt takes the event')
      const second = send()
      await first
      await pipeline.admin.alterTopicConfig(topic, { 'max.message.bytes': '1048576' })
      await send()
      await second
      while (![202, 409].includes(await send())) await systemClock.sleep(1_000)
    }
    return judge(await gatherLog(pipeline, project.projectId, ledgerFile))
  }
}
