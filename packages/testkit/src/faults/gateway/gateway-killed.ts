// The gateway dies eight times, each time at another labelled point of an event's way, under singles and batches.
import { readFileSync } from 'node:fs'
import { eventually } from '../../eventually.ts'
import { createRandom } from '../../random.ts'
import type { FaultCase } from '../fault-case.ts'
import { openRig } from './rig.ts'

/** The way of an event, in its order. */
const points = [
  'gateway.after-parse',
  'gateway.before-reserve',
  'gateway.after-reserve',
  'gateway.before-produce',
  'gateway.after-ack',
  'gateway.before-commit',
  'gateway.after-commit',
  'gateway.before-reply'
]

export const gatewayKilled: FaultCase = {
  name: 'gateway-killed',
  title: "the gateway SIGKILLed at eight points of an event's way, about 1,000 events apart",
  counters: [...points, 'attempt cut off', 'lease of a dead process met', 'repeat recognised', 'bad event refused'],
  async run(context) {
    const { counters } = context
    const random = createRandom(`points-${context.seed}`)
    await using rig = await openRig(context, {
      startEnv: (_name, start) => {
        const point = points[start - 1]
        // Passages are requests: 150 of them carry about 1,000 events.
        return point === undefined ? {} : { MILLRACE_FAULTS: `${point}:kill:${120 + random.below(60)}` }
      }
    })
    const { gateway } = rig
    for (let life = 2; life <= points.length + 1; life++) {
      await eventually(`life ${life} of the gateway`, () => gateway.starts >= life, { timeoutMs: 60_000 })
      rig.over()
    }
    await rig.traffic.moves(1_000)
    const verdict = await rig.judge({
      further(ledger) {
        counters.count(
          'attempt cut off',
          ledger.filter(({ end, code }) => end === 'cut' && code !== 'ECONNREFUSED').length
        )
        counters.count('lease of a dead process met', ledger.filter(({ code }) => code === 'in_progress').length)
        return []
      }
    })
    const log = readFileSync(gateway.logFile, 'utf8')
    for (const point of points) counters.count(point, log.split(`fault: kill at ${point},`).length - 1)
    const { duplicates, refused } = rig.traffic.load.counts()
    counters.count('repeat recognised', duplicates)
    counters.count('bad event refused', refused)
    return verdict
  }
}
