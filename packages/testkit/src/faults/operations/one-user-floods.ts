// Half of a project's events come from one user. The others must not notice: phases with a flood from one user take turns
// with phases in which the same number of events comes from many, and each is compared with its neighbour: what the
// machine does meanwhile hits both.
import { systemClock } from '@millrace/kernel'
import { readHotKeys } from '@millrace/operations/gateway-hot-keys'
import { eventually } from '../../eventually.ts'
import { openPipeline, testAdminToken } from '../../pipeline.ts'
import { settle } from '../check-project.ts'
import type { FaultCase } from '../fault-case.ts'
import { createHttpSender } from '../http-sender.ts'
import type { HttpSender } from '../http-sender.ts'
import { broken, judge } from '../oracle.ts'

const pairs = 16
const phaseMs = 2_000
/** Between two pairs of events: one of the others, and one of the flood or of somebody else. */
const stepMs = 10
const mostRatio = 1.2
const loudUser = 'user-loud'
/** The gateways name the keys of the last whole window of ten seconds. */
const hotWindowMs = 21_000

export const oneUserFloods: FaultCase = {
  name: 'one-user-floods',
  title: 'one user sends half of the events; the p95 of the others in turns with an even load',
  counters: ['event of the others', 'event of the loud user', 'named by hot'],
  async run({ counters, say, stack, folder, planted }) {
    await using pipeline = await openPipeline({ endpoints: stack.endpoints, folder, planted, say })
    const project = await pipeline.createProject('flood')
    using sender = createHttpSender({
      url: pipeline.eventsUrl,
      writeKey: project.writeKey,
      timeoutMs: 15_000,
      maxConnections: 100
    })
    const load = createPhases(sender, project.projectId)
    // What is slow only once: connections, caches, compilation.
    await load.run('even', 3 * phaseMs)
    const compared: { readonly plain: number; readonly hurt: number }[] = []
    for (let pair = 0; pair < pairs; pair++) {
      // Whichever comes second finds the machine as the first one left it.
      const isFirst = pair % 2 === 0
      const before = isFirst ? p95(await load.run('even', phaseMs)) : undefined
      const hurt = p95(await load.run('flood', phaseMs))
      compared.push({ hurt, plain: before ?? p95(await load.run('even', phaseMs)) })
    }
    await load.run('flood', hotWindowMs)
    if (await isNamed(pipeline.services.service('gateway').url, project.projectId)) counters.count('named by hot')
    const { others, loud, accepted } = load.counts()
    counters.count('event of the others', others)
    counters.count('event of the loud user', loud)
    const ratio = median(compared.map(({ plain, hurt }) => hurt / plain))
    const [plain, hurt] = [median(compared.map((pair) => pair.plain)), median(compared.map((pair) => pair.hurt))]
    say(`p95 of the others: ${plain.toFixed(1)} ms beside an even load, ${hurt.toFixed(1)} ms beside the flood`)
    say(`the median of ${pairs} pairs is ${ratio.toFixed(2)} times`)
    await settle(pipeline, project.projectId)
    const visible = (await pipeline.visibleIds(project.projectId)).size
    await eventually('the live count', async () => (await pipeline.liveEvents(project.projectId)) >= accepted).catch(
      () => undefined
    )
    const live = await pipeline.liveEvents(project.projectId)
    const { figures } = judge({ ledger: [], log: [], letters: [], sinks: [] })
    return {
      figures: { ...figures, acked: accepted },
      violations: [
        ...broken(
          'INV-7',
          'the others wait longer beside the flood',
          ratio <= mostRatio ? [] : [`${ratio.toFixed(2)} times`]
        ),
        ...broken(
          'INV-3',
          'not every accepted event is visible once',
          visible === accepted ? [] : [`${visible} of ${accepted}`]
        ),
        ...broken(
          'INV-4',
          'not every accepted event is counted live once',
          live === accepted ? [] : [`${live} of ${accepted}`]
        )
      ]
    }
  }
}

/** Whether the busiest user that the gateways name is the loud one, with at least the share that is certain. */
async function isNamed(gateway: string, projectId: string): Promise<boolean> {
  const { keys } = await readHotKeys({ gateways: [gateway], adminToken: testAdminToken, projectId, top: 5 })
  const [first] = keys.filter(({ kind }) => kind === 'userId')
  return first?.key === loudUser
}

function createPhases(sender: Pick<HttpSender, 'post'>, run: string) {
  const counts = { others: 0, loud: 0, accepted: 0 }
  let made = 0
  const send = async (userId: string): Promise<number> => {
    const body = JSON.stringify({ eventId: `${run}-${made++}`, eventType: 'view', userId })
    for (let isFirst = true; ; isFirst = false) {
      const startedMs = systemClock.monotonic()
      const { status } = await sender.post(body)
      const tookMs = systemClock.monotonic() - startedMs
      if (status === 202 || status === 409) {
        counts.accepted++
        return isFirst ? tookMs : Number.POSITIVE_INFINITY
      }
      await systemClock.sleep(200)
    }
  }
  return {
    counts: () => counts,
    /** Milliseconds that each event of the others took. */
    async run(kind: 'even' | 'flood', lengthMs: number): Promise<readonly number[]> {
      const took: Promise<number>[] = []
      const beside: Promise<number>[] = []
      const startedMs = systemClock.monotonic()
      for (let step = 0; step * stepMs < lengthMs; step++) {
        took.push(send(`user-${made % 400}`))
        beside.push(send(kind === 'flood' ? loudUser : `user-${made % 400}`))
        counts.others++
        counts.loud += kind === 'flood' ? 1 : 0
        await systemClock.sleep(Math.max(0, startedMs + (step + 1) * stepMs - systemClock.monotonic()))
      }
      await Promise.all(beside)
      return await Promise.all(took)
    }
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1] ?? 0
}

function p95(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length * 0.95)] ?? 0
}
