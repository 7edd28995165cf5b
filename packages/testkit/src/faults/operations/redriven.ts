// Ten thousand letters sent again: by a tool that is killed half-way and repeated, and once more past its memory. Each
// lands once.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { dlqTopic, redriveTopic } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import type { ProduceRecord } from '@millrace/kafka'
import { repositoryRoot } from '@millrace/local-stack/layout'
import { eventually } from '../../eventually.ts'
import { lagOf } from '../check-project.ts'
import type { FaultCase } from '../fault-case.ts'
import { runCli } from '../stream/run-cli.ts'
import { scanTopic } from '../scan-topic.ts'
import { toRecord } from '../warehouse/world.ts'
import { broken } from '../oracle.ts'
import { compareIds, openOperationsRig, plantedEnv, recentEvent } from './rig.ts'
import type { OperationsRig } from './rig.ts'

const letters = 10_000
const group = 'record'
/** No real record has these offsets, so nothing but a redrive can bring the events in. */
const firstOffset = 1_000_000
const goalMs = 30_000

export const redriveTwice: FaultCase = {
  name: 'redrive-twice',
  title: `${letters} letters redriven by a tool that is SIGKILLed half-way, repeated, and then sent again past its memory`,
  counters: ['sent before the kill', 'sent by the repeat', 'sent once more', 'landed'],
  async run(context) {
    const { counters, stack, say } = context
    await using rig = await openOperationsRig(context, { only: ['recorder'], env: { BATCH_SIZE: '2000' } })
    const { projectId } = rig.project
    const ids = await writeLetters(rig)
    const env = { ...stack.endpoints, ...plantedEnv(context), MILLRACE_DEBUG: '1' }
    const args = ['dlq', 'redrive', projectId, '--where', `group=${group}`, '--yes', '--json']

    await killedHalfWay(rig, [...args, '--rate', '2000'], env)
    const before = (await redriven(rig)).length
    counters.count('sent before the kill', before)

    const startedMs = systemClock.monotonic()
    const end = await runCli([...args, '--rate', '5000'], env)
    const tookMs = Math.round(systemClock.monotonic() - startedMs)
    const after = await redriven(rig)
    counters.count('sent by the repeat', after.length - before)
    say(`the repeat sent ${after.length - before} letters and saw them land in ${tookMs} ms`)

    const again = await runCli([...args, '--rate', '5000'], env)
    const unchanged = (await redriven(rig)).length === after.length
    // Past the memory of the tool: what a request does that was on its way when its tool was killed.
    await copyToRedrive(rig, after.slice(0, letters))
    counters.count('sent once more', after.length)
    await eventually(
      'the group behind everything',
      async () => (await lagOf(rig.pipeline.admin, group, redriveTopic(group))) === 0n,
      { timeoutMs: 60_000 }
    )
    const recorded = await rig.recorded()
    counters.count('landed', recorded.size)
    const distinct = new Set(after.map((record) => String(record.headers?.['dlq.id']))).size
    return rig.verdict(
      [
        ...compareIds('raw_events', ids, recorded),
        ...broken('progress', 'the repeat failed', end.code === 0 ? [] : [end.errors.slice(-500)]),
        ...broken(
          'edge',
          'sent again although all had landed',
          again.code === 0 && unchanged ? [] : [again.errors.slice(-500)]
        ),
        ...broken('INV-3', 'letters that were never sent', distinct === letters ? [] : [String(distinct)]),
        ...broken(
          'INV-2',
          'letters sent twice by the tool',
          after.length - distinct > 500 ? [String(after.length)] : []
        ),
        ...broken('progress', `slower than ${goalMs} ms`, tookMs > goalMs ? [`${tookMs} ms`] : [])
      ],
      await rig.letters()
    )
  }
}

/** Letters of events that are nowhere else. */
async function writeLetters({ pipeline, project, topic }: OperationsRig): Promise<readonly string[]> {
  const producer = await pipeline.kafka.producer()
  const ids: string[] = []
  const now = String(systemClock.now())
  for (let from = 0; from < letters; from += 1_000) {
    const batch = Array.from({ length: 1_000 }, (_, at): ProduceRecord => {
      const n = from + at
      const event = recentEvent(n)
      const record = toRecord(event, 4)
      const offset = String(firstOffset + n)
      ids.push(event.eventId)
      const headers = {
        'dlq.id': `${group}:${topic}:${record.partition}:${offset}`,
        'dlq.topic': topic,
        'dlq.partition': String(record.partition),
        'dlq.offset': offset,
        'dlq.append-time': now,
        'dlq.group': group,
        'dlq.stage': 'handle',
        'dlq.error-class': 'constraint',
        'dlq.error-code': 'PIPE_POSTGRES_REFUSED',
        'dlq.error-message': `the row of ${event.eventId} is refused`,
        'dlq.attempts': '4',
        'dlq.first-failure': now,
        'dlq.last-failure': now,
        'dlq.app-version': '0'
      }
      return { ...record, partition: record.partition % 2, headers }
    })
    await producer.produce(dlqTopic(project.projectId), batch)
  }
  await producer[Symbol.asyncDispose]()
  return ids
}

/** Runs the tool until some letters are sent, then kills it. */
async function killedHalfWay(
  rig: OperationsRig,
  args: readonly string[],
  env: Readonly<Record<string, string>>
): Promise<void> {
  const child = spawn(process.execPath, ['services/cli/src/main.ts', ...args], {
    cwd: repositoryRoot,
    // oxlint-disable-next-line node/no-process-env -- PATH and the like
    env: { ...process.env, ...env },
    stdio: 'ignore'
  })
  const exited = once(child, 'exit')
  const some = async (): Promise<boolean> => (await ends(rig)) > 1_000n
  await eventually('a thousand letters to be sent', some, { timeoutMs: 60_000, intervalMs: 50 })
  child.kill('SIGKILL')
  await exited
}

async function ends({ pipeline }: OperationsRig): Promise<bigint> {
  return (await pipeline.admin.ranges(redriveTopic(group))).reduce((sum, { end }) => sum + end, 0n)
}

async function redriven({ pipeline, project }: OperationsRig) {
  const scan = { admin: pipeline.admin, client: pipeline.kafka.consumers, clock: systemClock }
  const records = await scanTopic(scan, redriveTopic(group))
  return records.filter(
    ({ headers }) => headers['dlq.id']?.toString().includes(`events.${project.projectId}:`) === true
  )
}

async function copyToRedrive(
  { pipeline }: OperationsRig,
  records: Awaited<ReturnType<typeof redriven>>
): Promise<void> {
  await using producer = await pipeline.kafka.producer()
  for (let from = 0; from < records.length; from += 500) {
    const batch = records
      .slice(from, from + 500)
      .map(({ partition, key, value, headers }) => ({ partition, key, value, headers }))
    await producer.produce(redriveTopic(group), batch)
  }
}
