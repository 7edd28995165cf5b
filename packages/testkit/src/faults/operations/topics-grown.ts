// A project gets twice the partitions while its events come in, by the procedure of `millrace topics grow`: nothing is lost,
// nothing is counted twice, and the new partitions are used.
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { growTopics } from '@millrace/operations/grow-topics'
import { topicsFile } from '@millrace/operations/topics'
import { openPostgres } from '@millrace/stores/postgres'
import { eventually } from '../../eventually.ts'
import { openPipeline } from '../../pipeline.ts'
import type { Pipeline } from '../../pipeline.ts'
import { gatherEvidence, settle } from '../check-project.ts'
import type { CaseContext, FaultCase } from '../fault-case.ts'
import { broken, judge } from '../oracle.ts'
import type { Evidence } from '../oracle.ts'
import { startProjectLoad } from '../project-load.ts'

const [before, after] = [4, 8]

export const topicsGrown: FaultCase = {
  name: 'topics-grown',
  title: 'partitions of a project grown from 4 to 8 under load',
  counters: ['accepted while growing', 'event in a new partition', 'repeat recognised', 'counted live'],
  async run(context) {
    const { counters, say, stack, folder, planted } = context
    await using pipeline = await openPipeline({ endpoints: stack.endpoints, folder, planted, say })
    await using ground = await startProjectLoad(pipeline, context)
    const { projectId } = ground.project
    await ground.moves(1_000)
    const accepted = ground.load.counts().accepted
    await grow(pipeline, context, projectId)
    counters.count('accepted while growing', ground.load.counts().accepted - accepted)
    await ground.moves(2_000)
    await ground.load.stop()
    counters.count('repeat recognised', ground.load.counts().duplicates)
    say('the load is over; waiting for the workers to catch up')
    await settle(pipeline, projectId, { groups: ['process', 'load', 'record'] })
    const evidence = await gatherEvidence(pipeline, projectId, ground.ledgerFile)
    counters.count('event in a new partition', evidence.log.filter(({ partition }) => partition >= before).length)
    const { violations, figures } = judge(evidence)
    return { figures, violations: [...violations, ...(await liveDiffers(pipeline, context, projectId, evidence))] }
  }
}

async function grow(pipeline: Pipeline, { folder, stack, say }: CaseContext, projectId: string): Promise<void> {
  const file = join(folder, 'topics.yaml')
  await copyFile(topicsFile, file)
  await using postgres = await openPostgres({
    url: stack.endpoints.DATABASE_URL,
    poolSize: 1,
    log: createSilentLogger(),
    name: 'test'
  })
  const sampler = await pipeline.kafka.sampler()
  const deps = { admin: pipeline.admin, sampler, postgres, actor: 'test', clock: systemClock, say, file }
  await growTopics(deps, projectId, after)
}

/** The live state counts each event of the log once, in old and new partitions alike. */
async function liveDiffers(
  pipeline: Pipeline,
  { counters }: CaseContext,
  projectId: string,
  { log }: Evidence
): Promise<ReturnType<typeof broken>> {
  const expected = new Set(log.flatMap(({ eventId }) => eventId ?? [])).size
  const reached = eventually(
    'every event is counted live',
    async () => (await pipeline.liveEvents(projectId)) >= expected,
    {
      timeoutMs: 60_000
    }
  )
  await reached.catch(() => undefined)
  const counted = await pipeline.liveEvents(projectId)
  counters.count('counted live', counted)
  const examples = counted === expected ? [] : [`${counted} counted of ${expected} in the log`]
  return broken('INV-4', 'the live state counts another number of events', examples)
}
