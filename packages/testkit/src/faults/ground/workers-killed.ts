// Loader and processor die twice each under load: once at the labelled point where it hurts most, between effect and
// commit, once before the effect, and nobody may notice in the numbers.
import { readFileSync } from 'node:fs'
import { eventually } from '../../eventually.ts'
import { openPipeline } from '../../pipeline.ts'
import type { Pipeline } from '../../pipeline.ts'
import { createRandom } from '../../random.ts'
import { gatherEvidence, settle } from '../check-project.ts'
import type { CaseContext, FaultCase } from '../fault-case.ts'
import { judge } from '../oracle.ts'
import type { Verdict } from '../oracle.ts'
import { startProjectLoad } from '../project-load.ts'

const workers = ['loader', 'processor'] as const

/**
 * The faults of the n-th life of a worker: death after a commit while inserts are slow (a loader that commits before it
 * inserted loses rows there), and death between effect and commit. Later lives have none and are killed from outside.
 */
const faultsOf: Readonly<Record<(typeof workers)[number], readonly string[]>> = {
  loader: ['loader.before-insert:delay:300,consumer.after-commit:kill:3', 'loader.after-insert:kill:1'],
  processor: ['processor.after-produce:kill:5', 'consumer.before-handle:kill:2']
}

export const workersKilled: FaultCase = {
  name: 'workers-killed',
  title: 'loader and processor SIGKILLed twice each at labelled points, and once at random, under load',
  counters: [
    'loader killed at a label',
    'processor killed at a label',
    'worker killed at random',
    'event handled again',
    'repeat recognised',
    'bad event refused'
  ],
  async run(context) {
    await using pipeline = await openPipeline({
      endpoints: context.stack.endpoints,
      folder: context.folder,
      planted: context.planted,
      startEnv: (name, start) => {
        const fault = name === 'loader' || name === 'processor' ? faultsOf[name][start - 1] : undefined
        return fault === undefined ? {} : { MILLRACE_FAULTS: fault }
      },
      say: context.say
    })
    return await hurt(pipeline, context)
  }
}

async function hurt(pipeline: Pipeline, context: CaseContext): Promise<Verdict> {
  const { counters } = context
  await using ground = await startProjectLoad(pipeline, context)
  for (const name of workers) {
    const service = pipeline.services.service(name)
    await eventually(`the third life of ${name}`, () => service.starts >= 3, { timeoutMs: 60_000 })
    counters.count(`${name} killed at a label`, killsIn(service.logFile))
  }
  const random = createRandom(`kills-${context.seed}`)
  for (const name of workers) {
    await ground.moves(200 + random.below(200))
    const service = pipeline.services.service(name)
    if (service.pid !== undefined) counters.count('worker killed at random')
    service.kill('SIGKILL')
  }
  await ground.moves(200)
  await ground.load.stop()
  const { duplicates, refused } = ground.load.counts()
  counters.count('repeat recognised', duplicates)
  counters.count('bad event refused', refused)
  context.say('the load is over; waiting for the workers to catch up')
  await settle(pipeline, ground.project.projectId)
  const evidence = await gatherEvidence(pipeline, ground.project.projectId, ground.ledgerFile)
  const processed = evidence.sinks.find(({ copies }) => copies === 'atLeastOnce')
  counters.count('event handled again', [...(processed?.ids.values() ?? [])].filter((count) => count > 1).length)
  return judge(evidence)
}

function killsIn(logFile: string): number {
  return readFileSync(logFile, 'utf8').split('fault: kill at').length - 1
}
