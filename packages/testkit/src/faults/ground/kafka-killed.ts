// The broker dies twice under load and comes back: what was acknowledged is there, what was not is sent again, and
// nothing is stored more often than the answers explain.
import { systemClock } from '@millrace/kernel'
import { openPipeline } from '../../pipeline.ts'
import type { Pipeline } from '../../pipeline.ts'
import { createRandom } from '../../random.ts'
import { gatherEvidence, settle } from '../check-project.ts'
import type { CaseContext, FaultCase } from '../fault-case.ts'
import { judge } from '../oracle.ts'
import type { Verdict } from '../oracle.ts'
import type { Load } from '../load-client.ts'
import { startProjectLoad } from '../project-load.ts'

export const kafkaKilled: FaultCase = {
  name: 'kafka-killed',
  title: 'Kafka SIGKILLed and restarted twice under load',
  counters: ['kafka killed', 'attempt turned away or lost meanwhile', 'repeat recognised', 'bad event refused'],
  async run(context) {
    await using pipeline = await openPipeline({
      endpoints: context.stack.endpoints,
      folder: context.folder,
      planted: context.planted,
      say: context.say
    })
    return await hurt(pipeline, context)
  }
}

async function hurt(pipeline: Pipeline, context: CaseContext): Promise<Verdict> {
  const { counters, stack, say } = context
  const random = createRandom(`kafka-${context.seed}`)
  await using ground = await startProjectLoad(pipeline, context)
  for (let kill = 0; kill < 2; kill++) {
    await ground.moves(1_000 + random.below(200))
    const before = unanswered(ground.load)
    if (stack.kill('kafka', 'SIGKILL')) counters.count('kafka killed')
    await systemClock.sleep(1_500 + random.below(1_500))
    await stack.restart('kafka')
    counters.count('attempt turned away or lost meanwhile', unanswered(ground.load) - before)
    say('Kafka is back')
  }
  await ground.moves(1_000)
  await ground.load.stop()
  const { duplicates, refused } = ground.load.counts()
  counters.count('repeat recognised', duplicates)
  counters.count('bad event refused', refused)
  say('the load is over; waiting for the workers to catch up')
  await settle(pipeline, ground.project.projectId)
  return judge(await gatherEvidence(pipeline, ground.project.projectId, ground.ledgerFile))
}

/** Attempts so far that ended without a final answer. */
function unanswered(load: Load): number {
  const { attempts, accepted, duplicates, refused } = load.counts()
  return attempts - accepted - duplicates - refused
}
