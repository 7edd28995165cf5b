// Runs the whole pipeline until it is told to stop: stack, migrations, topics, the demo project, services, traffic.
// Everything is opened onto one stack of disposables, so it ends in reverse whatever happens.
import { mkdir } from 'node:fs/promises'
import { relative } from 'node:path'
import { AppError } from '@millrace/kernel'
import { endEverything } from '@millrace/local-stack/end-everything'
import { ensurePrograms } from '@millrace/local-stack/ensure-programs'
import type { Endpoints } from '@millrace/local-stack/endpoints'
import { layout } from '@millrace/local-stack/layout'
import type { BrokerCount } from '@millrace/local-stack/part'
import { portsFromEnv } from '@millrace/local-stack/ports'
import { endStaleServices } from '@millrace/local-stack/service-record'
import { servicePortsFromEnv, services } from '@millrace/local-stack/services'
import type { ServiceName } from '@millrace/local-stack/services'
import { startStack } from '@millrace/local-stack/stack'
import type { Stack } from '@millrace/local-stack/stack'
import { lockHolder } from '@millrace/local-stack/stack-lock'
import { listenForStop, waitingParent } from '@millrace/local-stack/stop-signals'
import { describeExit } from '@millrace/local-stack/supervised'
import type { SupervisorEvent } from '@millrace/local-stack/supervised'
import { chooseServicePorts, startServices } from '@millrace/local-stack/supervisor'
import type { RunningServices } from '@millrace/local-stack/supervisor'
import { dataFolder } from '../context.ts'
import type { CliContext, CommonOptions, DataFolder } from '../context.ts'
import { ensurePepper } from '../credentials.ts'
import type { Credentials } from '../credentials.ts'
import { startFeed } from '../demo/feed.ts'
import { createShop } from '../demo/shop.ts'
import { healParts } from './heal-parts.ts'
import { createLiveLine } from './live-line.ts'
import type { LiveLine } from './live-line.ts'
import { preparePipeline } from './prepare.ts'
import { watchStatus } from './watch-status.ts'
import { curlLines, welcome } from './welcome.ts'
import type { Running } from './welcome.ts'

export interface RunOptions extends CommonOptions {
  readonly json: boolean
  /** Whether demo events are sent. */
  readonly traffic: boolean
  readonly rate: number
  readonly seed: number
  /** Default: what the data folder has, one in a new folder. */
  readonly brokers?: BrokerCount
}

/** A worker that was killed is replaced as soon as its group lets go of it: on one machine that may be soon. */
const localSettings = { SESSION_TIMEOUT_MS: '10000' }

/** What the steps of one run share. */
interface Run {
  readonly context: CliContext
  readonly options: RunOptions
  readonly folder: DataFolder
  readonly line: LiveLine
  /** One line of progress; apart from the results in JSON mode. */
  readonly say: (text: string) => void
  readonly signal: AbortSignal
}

/**
 * Runs until the first SIGINT, SIGTERM or SIGHUP and resolves when nothing of it is left. Throws PIPE_STACK when
 * something does not start; nothing is left then either. A second signal kills everything and exits with 1.
 */
export async function runPipeline(context: CliContext, options: RunOptions): Promise<void> {
  const { terminal, clock, env } = context
  const folder = dataFolder(options.dataDir)
  const line = createLiveLine(terminal)
  const say = (text: string): void => (options.json ? terminal.error(text) : line.message(text))
  using stop = listenForStop({
    parentPid: waitingParent(env),
    clock,
    onSecond: () => {
      endEverything(folder.stack)
      process.exit(1)
    }
  })
  stop.signal.addEventListener('abort', () => {
    line.end()
    say(`stopping (${String(stop.signal.reason)}); once more stops at once`)
  })
  try {
    await run({ context, options, folder, line, say, signal: stop.signal })
  } catch (error) {
    if (error !== stop.signal.reason || !stop.signal.aborted) throw error
  }
  say('stopped; the data stays')
}

async function run(all: Run): Promise<void> {
  const { context, options, folder, line, say, signal } = all
  const { terminal, clock, env } = context
  const ports = { stack: portsFromEnv(env), services: servicePortsFromEnv(env) }
  await ensurePrograms({ log: say })
  const startedAtMs = clock.monotonic()
  await using open = new AsyncDisposableStack()
  await endEarlierRun(all)
  await chooseServicePorts(services, ports.services)

  let stack: Stack | undefined
  const healer = healParts({ stack: () => stack, clock, say })
  stack = await startStack({
    dataDir: folder.stack,
    ports: ports.stack,
    brokers: options.brokers,
    log: say,
    signal,
    clock,
    onPartExit: (name, how) => healer.ended(name, how)
  })
  open.use(stack)
  open.use(healer)
  const pepper = await ensurePepper(folder.secrets)
  const { endpoints } = stack
  const credentials = await preparePipeline({ endpoints, pepper, folder, say, signal, clock })
  const running = open.use(
    await startServices({
      endpoints,
      pepper,
      serviceEnv: {
        gateway: { ADMIN_TOKEN: credentials.adminToken },
        ops: {
          ADMIN_TOKEN: credentials.adminToken,
          GATEWAY_URL: urlOf('gateway', ports.services),
          QUERY_URL: urlOf('query', ports.services),
          REALTIME_URL: urlOf('realtime', ports.services)
        },
        // Whoever tries the pipeline wants to see files before a quarter of an hour is over.
        archiver: { FILE_AFTER_MS: '1m', TAIL_AFTER_MS: '1m', SMALL_BYTES: '0' },
        realtime: { DEMO_PROJECT: credentials.projectId },
        // And to find the event that was just sent.
        query: { CACHE_FRESH_MS: '5s' }
      },
      folder: folder.stack,
      ports: ports.services,
      env: localSettings,
      signal,
      onEvent: (event) => tell(event, say)
    })
  )
  const view = describeRun(all, credentials, running, clock.monotonic() - startedAtMs)
  terminal.out(options.json ? JSON.stringify(toReport(view)) : welcome(view, terminal.colour))
  if (options.traffic) {
    const shop = createShop({ seed: options.seed, startMs: clock.now() })
    open.use(startFeed({ url: view.gatewayUrl, writeKey: credentials.writeKey, rate: options.rate, shop, clock }))
  }
  await watchPipeline(all, endpoints)
  line.end()
}

/** Ends services that a killed launcher left. Throws PIPE_STACK when a living one owns the folder. */
async function endEarlierRun({ context, folder, say }: Run): Promise<void> {
  await mkdir(folder.stack, { recursive: true })
  const holder = lockHolder(folder.stack)
  if (holder !== undefined) {
    const message = `a pipeline runs here already (process ${holder.pid}): stop it with Ctrl-C, or kill ${holder.pid}`
    throw new AppError('PIPE_STACK', message)
  }
  const ended = await endStaleServices(folder.stack, context.clock)
  if (ended.length > 0) say(`ended services that an earlier run left: ${ended.join(', ')}`)
}

/** Where a service of this run will listen. */
function urlOf(name: ServiceName, moved: Partial<Record<ServiceName, number>>): string {
  return `http://127.0.0.1:${moved[name] ?? services.find((each) => each.name === name)?.port}`
}

function describeRun(all: Run, credentials: Credentials, running: RunningServices, tookMs: number): Running {
  const { context, folder } = all
  return {
    credentials,
    credentialsFile: shown(folder.credentials),
    gatewayUrl: running.service('gateway').url,
    queryUrl: running.service('query').url,
    liveUrl: running.service('realtime').url,
    services: running.all.map(({ name, url, logFile }) => ({ name, url, logFile })),
    logFolder: shown(layout.logs(folder.stack)),
    tookMs: Math.round(tookMs),
    eventId: `first-${context.clock.now().toString(36)}`
  }
}

/** The report of --json: no keys, but where they are. */
function toReport(view: Running): object {
  const { credentials, ...rest } = view
  return { ready: true, projectId: credentials.projectId, ...rest, curl: curlLines(view) }
}

/** A path as short as it can be pasted. */
function shown(path: string): string {
  const short = relative(process.cwd(), path)
  return short.startsWith('..') ? path : short
}

function tell(event: SupervisorEvent, say: (text: string) => void): void {
  switch (event.kind) {
    case 'started':
      return
    case 'ready':
      return say(`${event.name.padEnd(12)} ready in ${(event.afterMs / 1_000).toFixed(1).padStart(5)} s`)
    case 'exited':
      return say(`${event.name} ended (${describeExit(event.exit)}); starting it again in ${event.restartInMs} ms`)
  }
}

async function watchPipeline({ context, options, line, signal }: Run, endpoints: Endpoints): Promise<void> {
  const { terminal, clock } = context
  await watchStatus({
    endpoints,
    groups: services.flatMap(({ group }) => (group === undefined ? [] : [group])),
    everyMs: terminal.isTty && !options.json ? 2_000 : 10_000,
    clock,
    signal,
    onStatus: (status, text) => {
      if (!options.json) return line.update(text)
      const lag = Object.fromEntries(Object.entries(status.lag).map(([group, count]) => [group, String(count)]))
      const { accepted, landed, deadLetters } = status
      terminal.out(
        JSON.stringify({ accepted: String(accepted), landed: String(landed), lag, deadLetters: String(deadLetters) })
      )
    },
    onTrouble: (text) => line.update(text)
  })
}
