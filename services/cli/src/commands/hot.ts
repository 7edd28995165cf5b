// `millrace hot`: the partitions that get most, the groups that are far behind in one, and the busiest keys at the gateways.
import { parseTopic } from '@millrace/contracts'
import { AppError } from '@millrace/kernel'
import { portVariable, services, servicePortsFromEnv } from '@millrace/local-stack/services'
import { readHotKeys } from '@millrace/operations/gateway-hot-keys'
import type { HotKey, HotKeysRequest, HotKeysWindow } from '@millrace/operations/gateway-hot-keys'
import { createLagBook } from '@millrace/operations/lag-book'
import type { LagView } from '@millrace/operations/lag-book'
import { sampleLag } from '@millrace/operations/lag-sample'
import type { Command } from 'commander'
import { dataFolder } from '../context.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { readCredentials } from '../credentials.ts'
import { print, toTable, UsageError } from '../output.ts'
import { addCommand, several } from './command.ts'
import { age, openSinks } from './lag.ts'

interface HotOptions extends CommonOptions {
  readonly project?: string
  readonly seconds: string
  readonly top: string
  readonly gateway: readonly string[]
}

/** A partition with its share of what its topic got. */
interface HotPartition {
  readonly topic: string
  readonly partition: number
  readonly leader: number
  readonly produceRate: number
  readonly share: number
  /** Groups that are behind in it, the furthest first. */
  readonly behind: readonly { readonly group: string; readonly records: number; readonly seconds: number | null }[]
}

/** Adds `hot`. */
export function addHotCommand(program: Command, context: CliContext): void {
  const { terminal } = context
  addCommand(program, {
    usage: 'hot',
    description: 'the busiest partitions, and the busiest event types and users at the gateways',
    examples: [
      'npx millrace hot',
      'npx millrace hot --project shop --top 5',
      'npx millrace hot --gateway http://gateway-1:4001 --gateway http://gateway-2:4001 --json'
    ]
  })
    .option('--project <projectId>', 'only this project')
    .option('--seconds <n>', 'how long the log is watched, 1 to 60', '5')
    .option('--top <n>', 'partitions, and keys of each kind and project, that are shown, 1 to 64', '10')
    .option('--gateway <url>', 'a gateway; repeated for several; default: the one of the local pipeline', several, [])
    .action(async ({ json, dataDir, project, ...options }: HotOptions) => {
      const seconds = numberIn('--seconds', options.seconds, 1, 60)
      const top = numberIn('--top', options.top, 1, 64)
      const gateways = gatewaysOf(context, options.gateway)
      await using stack = new AsyncDisposableStack()
      const view = await watchLog(context, dataDir, stack, seconds)
      const partitions = hotPartitions(view, project)
      // What the log says is worth showing also while no gateway says anything.
      const asked = keysOf(context, dataDir, { gateways, projectId: project, top })
      const keys = await asked.catch(() => undefined)
      print(terminal, json, { partitions, keys: keys ?? null }, () =>
        render(partitions.slice(0, top), keys, terminal.colour)
      )
      await asked
    })
}

async function watchLog(
  context: CliContext,
  dataDir: string,
  stack: AsyncDisposableStack,
  seconds: number
): Promise<LagView> {
  const deps = { ...(await openSinks(context, dataDir, stack)), clock: context.clock }
  const book = createLagBook({ everyMs: seconds * 1_000 })
  book.take(await sampleLag(deps))
  await context.clock.sleep(seconds * 1_000)
  book.take(await sampleLag(deps))
  const unclear = book.unclear(100)
  book.learn(unclear, await deps.sampler.appendTimes(unclear))
  return book.judge()
}

function hotPartitions({ rows, partitions }: LagView, project: string | undefined): readonly HotPartition[] {
  const totals = new Map<string, number>()
  for (const { topic, produceRate } of partitions) totals.set(topic, (totals.get(topic) ?? 0) + produceRate)
  return partitions
    .filter(({ topic }) => project === undefined || parseTopic(topic)?.parameter === project)
    .map(({ topic, partition, leader, produceRate }) => {
      const total = totals.get(topic) ?? 0
      const behind = rows
        .filter((row) => row.topic === topic && row.partition === partition && row.records > 0)
        .toSorted((left, right) => right.records - left.records)
        .map(({ group, records, seconds }) => ({ group, records, seconds: seconds ?? null }))
      return { topic, partition, leader, produceRate, share: total === 0 ? 0 : produceRate / total, behind }
    })
    .toSorted((left, right) => right.produceRate - left.produceRate || worst(right) - worst(left))
}

function worst({ behind }: HotPartition): number {
  return behind[0]?.records ?? 0
}

async function keysOf(
  context: CliContext,
  dataDir: string,
  wanted: Pick<HotKeysRequest, 'gateways' | 'projectId' | 'top'>
): Promise<HotKeysWindow> {
  const token = context.env['ADMIN_TOKEN'] ?? ''
  const adminToken = token === '' ? readCredentials(dataFolder(dataDir).credentials)?.adminToken : token
  if (adminToken === undefined)
    throw new AppError('PIPE_NOT_FOUND', 'the gateways ask for the administration token: set ADMIN_TOKEN')
  return await readHotKeys({ ...wanted, adminToken })
}

function gatewaysOf(context: CliContext, given: readonly string[]): readonly string[] {
  for (const url of given) if (!URL.canParse(url)) throw new UsageError(`--gateway is a URL, not '${url}'`)
  return given.length > 0 ? given : [localGateway(context)]
}

function localGateway({ env }: CliContext): string {
  const port = servicePortsFromEnv({ [portVariable('gateway')]: env[portVariable('gateway')] }).gateway
  return `http://127.0.0.1:${port ?? services.find(({ name }) => name === 'gateway')?.port ?? 4001}`
}

function numberIn(option: string, text: string, least: number, most: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw new UsageError(`${option} is ${least} to ${most}, not '${text}'`)
}

function render(partitions: readonly HotPartition[], found: HotKeysWindow | undefined, colour: boolean): string {
  const logLines = partitions.map(({ topic, partition, leader, produceRate, share, behind }) => {
    const [first] = behind
    const lag =
      first === undefined ? undefined : `${first.group} ${first.records} (${age(first.seconds ?? undefined) ?? '?'})`
    return [topic, partition, leader, Math.round(produceRate), percent(share), lag]
  })
  const log = toTable(['topic', 'partition', 'leader', 'records/s', 'share', 'furthest behind'], logLines, colour)
  return found === undefined ? log : `${log}\n\n${renderKeys(found, colour)}`
}

function renderKeys({ keys, startedAt, windowMs }: HotKeysWindow, colour: boolean): string {
  const lines = keys.map((each: HotKey) => {
    const exact = each.error === 0 ? String(each.count) : `${each.count - each.error} to ${each.count}`
    return [each.projectId, each.kind, each.key, exact, percent(each.share)]
  })
  const when =
    startedAt === undefined ? 'the gateways have seen no event lately' : `${windowMs / 1_000} s from ${startedAt}`
  return `${toTable(['project', 'kind', 'key', 'events', 'share'], lines, colour)}\n${when}`
}

function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`
}
