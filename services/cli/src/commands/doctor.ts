// `millrace doctor`: is everything as it has to be? Changes nothing.
import { postgresFields, redisCacheFields, redisDedupFields, redisStateFields } from '@millrace/config'
import { AppError } from '@millrace/kernel'
import { readEndpoints } from '@millrace/local-stack/endpoints'
import { services } from '@millrace/local-stack/services'
import { createSilentLogger } from '@millrace/observability'
import { checkNames } from '@millrace/operations/doctor/finding'
import type { CheckName, Finding } from '@millrace/operations/doctor/finding'
import { toLagFacts } from '@millrace/operations/doctor/lag-facts'
import { storeClocks } from '@millrace/operations/doctor/open-clocks'
import { runDoctor } from '@millrace/operations/doctor/run-doctor'
import type { DoctorDeps } from '@millrace/operations/doctor/run-doctor'
import { schemasFolder } from '@millrace/operations/migrate'
import { listProjects } from '@millrace/operations/projects'
import { openRedis } from '@millrace/stores/redis'
import type { Redis, RedisRole } from '@millrace/stores/redis'
import type { Command } from 'commander'
import { openAdmin, openDatabase, openWarehouse, topicDeclaration, topicProfile } from '../connections.ts'
import { dataFolder, settings } from '../context.ts'
import type { CliContext, CommonOptions } from '../context.ts'
import { print, style, toTable, UsageError } from '../output.ts'
import { addCommand } from './command.ts'
import { lookOnce } from './lag.ts'

interface DoctorOptions extends CommonOptions {
  readonly only?: string
  readonly pools?: string
  readonly strict?: boolean
}

/** Adds `doctor`. */
export function addDoctorCommand(program: Command, context: CliContext): void {
  const { terminal } = context
  addCommand(program, {
    usage: 'doctor',
    description: 'examine stores, topics, clocks, space and settings; exit code 1 when anything has to be mended',
    examples: [
      'npx millrace doctor',
      'npx millrace doctor --only retention,disks --strict',
      'npx millrace doctor --json | jq \'.findings[] | select(.status != "ok")\''
    ]
  })
    .option('--only <names>', `only these: ${checkNames.join(', ')}`)
    .option('--pools <connections>', 'connections that the pools of all processes may open together')
    .option('--strict', 'warnings count as failures')
    .action(async ({ json, dataDir, strict = false, ...options }: DoctorOptions) => {
      await using stack = new AsyncDisposableStack()
      const only = namesOf(options.only)
      const deps = await openDeps(context, { dataDir, pools: poolsOf(options.pools) }, stack)
      const { findings } = await runDoctor(deps, only)
      print(terminal, json, { healthy: !findings.some(({ status }) => status === 'failure'), findings }, () =>
        render(findings, terminal.colour)
      )
      const bad = findings.filter(({ status }) => status === 'failure' || (strict && status === 'warning'))
      if (bad.length > 0) throw new AppError('PIPE_STACK', `${bad.length} finding(s) to mend`)
    })
}

async function openDeps(
  context: CliContext,
  { dataDir, pools }: { readonly dataDir: string; readonly pools: number },
  stack: AsyncDisposableStack
): Promise<DoctorDeps> {
  const [admin, postgres, clickhouse] = [
    await openAdmin(context, dataDir, stack),
    await openDatabase(context, dataDir, stack),
    await openWarehouse(context, dataDir, stack)
  ]
  const redis = [
    await openRole(stack, 'dedup', settings(context, dataDir, redisDedupFields).REDIS_DEDUP_URL),
    await openRole(stack, 'state', settings(context, dataDir, redisStateFields).REDIS_STATE_URL),
    await openRole(stack, 'cache', settings(context, dataDir, redisCacheFields).REDIS_CACHE_URL)
  ]
  const { stack: folder } = dataFolder(dataDir)
  const endpoints = readEndpoints(folder)
  const projects = async (): Promise<readonly string[]> =>
    (await listProjects(postgres)).map(({ projectId }) => projectId)
  return {
    admin,
    postgres,
    clickhouse,
    redis,
    pools,
    projects,
    schemas: schemasFolder,
    declaration: await topicDeclaration(context, dataDir),
    profile: topicProfile(context, dataDir),
    clock: context.clock,
    clocks: storeClocks({ postgres, clickhouse, redis }),
    folders: endpoints === undefined ? [] : [folder],
    settings: { ...endpoints, ...context.env },
    lag: async () => toLagFacts(await lookOnce(context, dataDir, stack), context.clock.now())
  }
}

async function openRole(stack: AsyncDisposableStack, role: RedisRole, url: string): Promise<Redis> {
  const options = { url, role, log: createSilentLogger(), commandTimeoutMs: 5_000 } as const
  return stack.use(await openRedis({ ...options, requirePolicy: 'when-reachable' }))
}

function namesOf(text: string | undefined): readonly CheckName[] {
  if (text === undefined) return checkNames
  const wanted = text.split(',').map((name) => name.trim())
  const unknown = wanted.filter((name) => !checkNames.some((known) => known === name))
  if (unknown.length > 0) throw new UsageError(`--only ${unknown.join(', ')}: one of ${checkNames.join(', ')}`)
  return checkNames.filter((name) => wanted.includes(name))
}

/** One process of each service with the pool that it has by default. */
function poolsOf(text: string | undefined): number {
  const byDefault = services.length * Number(postgresFields.DATABASE_POOL_SIZE.default)
  if (text === undefined) return byDefault
  if (!/^\d{1,6}$/.test(text)) throw new UsageError(`--pools must be a whole number, not '${text}'`)
  return Number(text)
}

function render(findings: readonly Finding[], colour: boolean): string {
  const rows = findings.map(({ check, status, subject, detail }) => [check, status, subject, detail])
  const fixes = findings.flatMap(({ check, status, subject, detail, fix }) =>
    fix === undefined ? [] : [`${style(`${status}: ${check}, ${subject}`, 'bold', colour)}\n  ${detail}\n  fix: ${fix}`]
  )
  const all = `${findings.length} examined, ${fixes.length} to look at`
  return [toTable(['check', 'status', 'subject', 'detail'], rows, colour), ...fixes, all].join('\n\n')
}
