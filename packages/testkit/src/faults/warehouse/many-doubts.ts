// Doubts by the hundred: replies that are eaten after the rows are in, and a ClickHouse that dies while it inserts. The code
// that loads is the loader's own without Kafka (services/loader/test/fixture-keep-loading.ts), which tries again at once;
// `replies-eaten` and `clickhouse-killed` do the same to the whole service.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { rawTopic } from '@millrace/contracts'
import { systemClock, withDeadline } from '@millrace/kernel'
import { repositoryRoot } from '@millrace/local-stack/layout'
import { createSilentLogger } from '@millrace/observability'
import { schemasFolder } from '@millrace/operations/migrate'
import { openClickhouse } from '@millrace/stores/clickhouse'
import { migrateClickhouse } from '@millrace/stores/migrations'
import { eventually } from '../../eventually.ts'
import { startEngine } from '../../own-clickhouse.ts'
import type { Engine } from '../../own-clickhouse.ts'
import { createRandom } from '../../random.ts'
import { uniqueProject } from '../../unique.ts'
import type { CaseContext, FaultCase } from '../fault-case.ts'
import { judge } from '../oracle.ts'
import type { Verdict } from '../oracle.ts'
import { openTcpProxy } from '../tcp-proxy.ts'
import { eventsBefore } from './made-lanes.ts'
import { readFacts } from './read-facts.ts'
import { compareFacts, expectedFacts } from './world.ts'

const lanes = 4
const replies = 500
const kills = 200
const killsOfBug = 20

export const manyRepliesEaten: FaultCase = {
  name: 'many-replies-eaten',
  title: `${replies} replies eaten after ClickHouse has the rows, of any table, in ${lanes} lanes at once`,
  counters: ['replies eaten', 'doubts'],
  async run(context) {
    const direct = context.stack.endpoints['CLICKHOUSE_URL'] ?? ''
    const url = new URL(direct)
    await using proxy = await openTcpProxy({ target: { host: url.hostname, port: Number(url.port) } })
    url.port = String(proxy.port)
    await migrateTables(direct)
    await using loading = await startLoading(context, url.href)
    let inserts = 0
    const isInsert = (chunk: Buffer): boolean =>
      /^POST \S*INSERT/.test(chunk.subarray(0, 4_096).toString('latin1')) && ++inserts % 3 !== 0
    const eaten = proxy.add({ kind: 'eat-reply', when: isInsert, times: replies })
    const all = (): boolean => eaten.acted() >= replies
    await eventually(`${replies} replies to be eaten`, all, { timeoutMs: 300_000, intervalMs: 200 })
    context.counters.count('replies eaten', eaten.acted())
    context.counters.count('doubts', loading.doubts())
    return await judgeLoaded(direct, loading.project, await loading.end())
  }
}

export const clickhouseKilledOften: FaultCase = {
  name: 'clickhouse-killed-often',
  title: `ClickHouse SIGKILLed ${kills} times while it inserts, in ${lanes} lanes at once`,
  counters: ['killed', 'inserts without an answer'],
  async run(context) {
    const { counters, folder, planted, seed } = context
    const random = createRandom(`often-${seed}`)
    const where = { settings: join(folder, 'engine.json'), data: join(folder, 'clickhouse') }
    const running: { engine: Engine } = { engine: await startEngine(where) }
    await using cleaning = new AsyncDisposableStack()
    cleaning.defer(async () => await running.engine.kill())
    const { url, port } = running.engine
    await migrateTables(url)
    await using loading = await startLoading(context, url)
    const goal = planted === undefined ? kills : killsOfBug
    for (let kill = 1; kill <= goal; kill++) {
      context.signal.throwIfAborted()
      const before = loading.loaded()
      await eventually('the loader to go on', () => loading.loaded() > before, { timeoutMs: 60_000, intervalMs: 5 })
      await systemClock.sleep(random.below(60))
      const doubts = loading.doubts()
      await running.engine.kill()
      counters.count('killed')
      running.engine = await startEngine({ ...where, port })
      counters.count('inserts without an answer', loading.doubts() > doubts ? 1 : 0)
      if (kill % 50 === 0) context.say(`${kill} of ${goal} kills`)
    }
    return await judgeLoaded(url, loading.project, await loading.end())
  }
}

async function migrateTables(url: string): Promise<void> {
  await migrateClickhouse({ url, folder: new URL('clickhouse/', schemasFolder), log: createSilentLogger() })
}

interface Loading extends AsyncDisposable {
  readonly project: string
  /** Records that it has passed, and attempts that failed. */
  loaded(): number
  doubts(): number
  /** Ends it with what is under way; where each lane stands then. */
  end(): Promise<readonly number[]>
}

async function startLoading({ planted, seed }: CaseContext, clickhouseUrl: string): Promise<Loading> {
  const project = uniqueProject('doubts')
  const file = join(repositoryRoot, 'services/loader/test/fixture-keep-loading.ts')
  const env = {
    CLICKHOUSE_URL: clickhouseUrl,
    TOPIC: rawTopic(project),
    LANES: String(lanes),
    SEED: String(seed),
    PLANTED: planted ?? '',
    PATH: process.env['PATH']
  }
  const child = spawn(process.execPath, [file], { env, stdio: ['pipe', 'pipe', 'pipe'] })
  const ends = Array.from({ length: lanes }, () => 0)
  let doubts = 0
  let errors = ''
  const ended = Promise.withResolvers<void>()
  child.stdin.on('error', () => {})
  child.stderr.on('data', (data) => (errors += String(data)))
  child.once('exit', (code) => ended.reject(new Error(`the loader ended with ${code}: ${errors.slice(-2_000)}`)))
  ended.promise.catch(() => {})
  createInterface(child.stdout).on('line', (line) => {
    const [word, lane, to] = line.split(' ')
    if (word === 'to') ends[Number(lane)] = Number(to)
    else if (word === 'doubt') doubts++
    else if (word === 'end') ended.resolve()
  })
  return {
    project,
    loaded: () => ends.reduce((sum, end) => sum + end, 0),
    doubts: () => doubts,
    async end() {
      child.stdin.write('end\n')
      await withDeadline(ended.promise, 60_000, systemClock, 'the end of the loader')
      return ends
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
    }
  }
}

async function judgeLoaded(url: string, project: string, ends: readonly number[]): Promise<Verdict> {
  await using clickhouse = await openClickhouse({ url, log: createSilentLogger(), applicationName: 'test' })
  const expected = expectedFacts(eventsBefore(ends))
  const gaps = compareFacts(expected, await readFacts(clickhouse, project))
  const { figures } = judge({ ledger: [], log: [], letters: [], sinks: [] })
  return {
    violations: gaps.map(({ problem, examples }) => ({
      invariant: 'INV-3' as const,
      problem,
      count: examples.length,
      examples: examples.slice(0, 10)
    })),
    figures: { ...figures, acked: ends.reduce((sum, end) => sum + end, 0), logged: expected.events.size }
  }
}
