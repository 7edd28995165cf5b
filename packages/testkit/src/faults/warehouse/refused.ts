// Rows that are to blame and stores that are: one bad row of ten thousand dies alone with a reason, a full disk and a
// database that the loader does not need are waited out, and nothing innocent becomes a dead letter.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { dlqTopic } from '@millrace/contracts'
import { systemClock } from '@millrace/kernel'
import { eventually } from '../../eventually.ts'
import { startEngine } from '../../own-clickhouse.ts'
import { openTestKafka } from '../../test-kafka.ts'
import type { CaseContext, FaultCase } from '../fault-case.ts'
import type { Verdict } from '../oracle.ts'
import { scanTopic } from '../scan-topic.ts'
import { ofOneProcess, openWarehouseRig } from './rig.ts'
import type { WarehouseRig } from './rig.ts'

const rows = 10_000
const culprit = 'e-6173'

export const badRow: FaultCase = {
  name: 'bad-row',
  title: `one row of ${rows} that ClickHouse refuses`,
  counters: ['rows refused', 'letters'],
  async run(context) {
    await using rig = await openWarehouseRig(context)
    const { clickhouse, project } = rig
    await using cleaning = new AsyncDisposableStack()
    await clickhouse.command(
      `ALTER TABLE events_raw ADD CONSTRAINT no_culprit CHECK NOT (projectId = '${project}' AND eventType = 'culprit')`
    )
    cleaning.defer(() => clickhouse.command('ALTER TABLE events_raw DROP CONSTRAINT no_culprit'))
    await rig.write(rows, 0, (event) => (event.eventId === culprit ? { ...event, eventType: 'culprit' } : event))
    const { service, group } = await rig.startLoader({ env: { BATCH_SIZE: String(rows), FLUSH_AFTER_MS: '2s' } })
    const verdict = ofOneProcess(await rig.judge([group], { without: new Set([culprit]) }), service.starts)
    const letters = await readLetters(context, rig)
    context.counters.count('letters', letters.length)
    context.counters.count('rows refused', letters.filter((letter) => letter === `${culprit} constraint`).length)
    return withProblem(verdict, 'dead letters that are not the one of the culprit', [
      ...letters.filter((letter) => letter !== `${culprit} constraint`),
      ...letters.slice(1)
    ])
  }
}

export const postgresKilled: FaultCase = {
  name: 'postgres-killed',
  title: 'PostgreSQL SIGKILLed under load and away for a while: the loader does not need it',
  counters: ['postgres killed', 'rows while it was away'],
  async run(context) {
    const { counters, stack } = context
    await using rig = await openWarehouseRig(context)
    const end = rig.keepWriting()
    const { service, group } = await rig.startLoader()
    await rig.moves(1_000)
    if (stack.kill('postgres', 'SIGKILL')) counters.count('postgres killed')
    const before = await visible(rig)
    await rig.moves(1_500)
    const grows = async (): Promise<boolean> => (await visible(rig)) > before
    await eventually('rows to arrive without PostgreSQL', grows, { timeoutMs: 30_000 })
    counters.count('rows while it was away', (await visible(rig)) - before)
    await stack.restart('postgres')
    await end()
    return ofOneProcess(await noLetters(context, rig, await rig.judge([group])), service.starts)
  }
}

const diskMiB = 192

export const warehouseDiskFull: FaultCase = {
  name: 'disk-full',
  title: `a ClickHouse on a disk of ${diskMiB} MiB that gets full under load, and has room again`,
  counters: ['no space left', 'rows before', 'rows after'],
  async run(context) {
    const { counters } = context
    const disk = join(context.folder, 'disk')
    mkdirSync(disk, { recursive: true })
    run('mount', ['-t', 'tmpfs', '-o', `size=${diskMiB}m`, 'tmpfs', disk])
    await using cleaning = new AsyncDisposableStack()
    cleaning.defer(() => run('umount', ['--lazy', disk]))
    const engine = await startEngine({ settings: join(context.folder, 'engine.json'), data: join(disk, 'clickhouse') })
    cleaning.use(engine)
    await using rig = await openWarehouseRig(context, { clickhouseUrl: engine.url })
    const end = rig.keepWriting()
    const { service, group } = await rig.startLoader()
    const some = async (): Promise<boolean> => (await visible(rig)) > 0
    await eventually('the first rows', some, { timeoutMs: 60_000, intervalMs: 200 })
    counters.count('rows before', await visible(rig))
    const filler = join(disk, 'filler')
    const { bavail, bsize } = statfsSync(disk)
    await writeFile(filler, Buffer.alloc(bavail * bsize)).catch(() => {})
    const full = (): boolean => /space|ENOSPC/i.test(readFileSync(service.logFile, 'utf8'))
    await eventually('the loader to hear of the full disk', full, { timeoutMs: 60_000, intervalMs: 200 })
    counters.count('no space left')
    await rig.moves(1_500)
    rmSync(filler)
    const before = await visible(rig)
    const grows = async (): Promise<boolean> => (await visible(rig).catch(() => 0)) > before
    await eventually('rows to arrive again', grows, { timeoutMs: 120_000, intervalMs: 500 })
    counters.count('rows after', (await visible(rig)) - before)
    await end()
    const verdict = await rig.judge([group], { timeoutMs: 120_000 })
    return ofOneProcess(await noLetters(context, rig, verdict), service.starts)
  }
}

async function visible({ clickhouse, project }: WarehouseRig): Promise<number> {
  const [row] = await clickhouse.rows<{ rows: string }>(
    'SELECT count() AS rows FROM events WHERE projectId = {project:String}',
    { project }
  )
  return Number(row?.rows ?? 0)
}

/** `eventId reason` of every dead letter of the project. */
async function readLetters({ stack }: CaseContext, { project, admin }: WarehouseRig): Promise<readonly string[]> {
  await using kafka = await openTestKafka(stack.endpoints)
  const records = await scanTopic({ admin, client: kafka.consumers, clock: systemClock }, dlqTopic(project))
  return records.map(({ key, headers }) => `${String(key)} ${String(headers['dlq.error-class'])}`)
}

async function noLetters(context: CaseContext, rig: WarehouseRig, verdict: Verdict): Promise<Verdict> {
  return withProblem(verdict, 'dead letters over a store that was away', await readLetters(context, rig))
}

function withProblem(verdict: Verdict, problem: string, examples: readonly string[]): Verdict {
  if (examples.length === 0) return verdict
  const violation = { invariant: 'INV-10', problem, count: examples.length, examples: examples.slice(0, 10) } as const
  return { ...verdict, violations: [...verdict.violations, violation] }
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr.trim() || status}`)
}
