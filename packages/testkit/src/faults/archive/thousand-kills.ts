// An archiver dies a thousand times: two hundred SIGKILLs at each step on the way of a file, and fifty at whatever moment
// it is. Two own every partition at once, so that each also meets what the other one did. The lives are cheap
// (services/archiver/test/fixture-one-life.ts): all of the archiver but Kafka; `killed-at-steps` kills the whole service.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { rawTopic } from '@millrace/contracts'
import { systemClock, withDeadline } from '@millrace/kernel'
import { repositoryRoot } from '@millrace/local-stack/layout'
import { createSilentLogger } from '@millrace/observability'
import { verifyArchive } from '@millrace/operations/archive-verify'
import { migrate } from '@millrace/operations/migrate'
import { createArchiveManifest } from '@millrace/stores/archive-manifest'
import type { ArchiveManifest } from '@millrace/stores/archive-manifest'
import { contentCrc } from '@millrace/stores/archive-rows'
import { openObjectStore } from '@millrace/stores/object-store'
import type { ObjectStore } from '@millrace/stores/object-store'
import { openPostgres } from '@millrace/stores/postgres'
import { createRandom } from '../../random.ts'
import { uniqueProject } from '../../unique.ts'
import type { CaseContext, FaultCase } from '../fault-case.ts'
import { broken, judge } from '../oracle.ts'
import type { Verdict, Violation } from '../oracle.ts'
import { madeRecords } from './made-log.ts'
import { readOtherwise } from './other-readers.ts'

const steps = [
  'archiver.after-head',
  'archiver.after-take',
  'archiver.before-put',
  'archiver.after-put',
  'archiver.after-claim'
] as const
const anyMoment = 'any moment'
const times = 200
const timesAtAnyMoment = 50
const partitions = 4
/** Lives that run at once; as many again are starting. */
const atOnce = 2
const longestLifeMs = 30_000

export const thousandKills: FaultCase = {
  name: 'thousand-kills',
  title: `${times} SIGKILLs at each of ${steps.length} steps and ${timesAtAnyMoment} at any moment, two owners of a made-up log`,
  counters: [...steps, anyMoment].map((step) => `killed at ${step}`),
  async run(context) {
    await using rig = await openRig(context)
    const random = createRandom(`kills-${context.seed}`)
    const kills = Array.from({ length: times }, (_, time) =>
      time < timesAtAnyMoment ? [...steps, anyMoment] : steps
    ).flat()
    let at = 0
    const turns = Array.from({ length: atOnce }, async () => {
      let next = startLife(rig.env)
      for (let step = kills[at++]; step !== undefined; step = kills[at++]) {
        if (at % 200 === 0) context.say(`${at} of ${kills.length} lives`)
        const life = await next
        next = startLife(rig.env)
        // The head is read once per life.
        const hit = step === 'archiver.after-head' ? 1 : 1 + random.below(4)
        const seed = `${context.seed}-${at}`
        if (step === anyMoment) await life.endAfter(random.below(120), seed)
        else await life.endBy(step, hit, seed)
        context.counters.count(`killed at ${step}`)
      }
      await (await next).endAfter(0, 'spare')
    })
    await Promise.all(turns)
    return await rig.judge()
  }
}

interface Life {
  /** Lives until it passes `step` for the n-th time. */
  endBy(step: string, hit: number, seed: string): Promise<void>
  /** Lives until it is killed from outside. */
  endAfter(ms: number, seed: string): Promise<void>
}

async function startLife(env: Readonly<Record<string, string>>): Promise<Life> {
  const file = join(repositoryRoot, 'services/archiver/test/fixture-one-life.ts')
  const child = spawn(process.execPath, [file], {
    env: { ...env, PATH: process.env['PATH'] },
    stdio: ['pipe', 'pipe', 'pipe']
  })
  let said = ''
  child.stderr.on('data', (data) => (said += String(data)))
  child.stdin.on('error', () => {})
  const exited = once(child, 'exit') as Promise<[number | null, string | null]>
  const ended = async (): Promise<void> => {
    const [code, signal] = await withDeadline(exited, longestLifeMs, systemClock, 'a life of the archiver').catch(
      (error: unknown) => {
        child.kill('SIGKILL')
        throw error
      }
    )
    if (signal !== 'SIGKILL') throw new Error(`an archiver ended with ${code ?? signal}: ${said.slice(-2_000)}`)
  }
  const begin = (order: object): boolean => child.stdin.write(`${JSON.stringify(order)}\n`)
  const first = await Promise.race([once(child.stdout, 'data'), exited])
  if (!String(first[0]).startsWith('ready')) throw new Error(`an archiver did not start: ${said.slice(-2_000)}`)
  return {
    async endBy(step, hit, seed) {
      begin({ step, hit, seed })
      await ended()
    },
    async endAfter(ms, seed) {
      begin({ step: '', hit: 0, seed })
      await systemClock.sleep(ms)
      child.kill('SIGKILL')
      await ended()
    }
  }
}

interface Rig extends AsyncDisposable {
  readonly env: Readonly<Record<string, string>>
  judge(): Promise<Verdict>
}

async function openRig({ stack, folder, planted }: CaseContext): Promise<Rig> {
  const { DATABASE_URL, DATABASE_DIRECT_URL, CLICKHOUSE_URL } = stack.endpoints
  const log = createSilentLogger()
  await migrate({ databaseDirectUrl: DATABASE_DIRECT_URL, clickhouseUrl: CLICKHOUSE_URL, log })
  const postgres = await openPostgres({ url: DATABASE_URL, poolSize: 2, log, name: 'test' })
  const manifest = createArchiveManifest(postgres)
  const objectsUrl = pathToFileURL(join(folder, 'objects')).href
  const objects = openObjectStore({ url: objectsUrl, clock: systemClock, timeoutMs: 10_000 })
  const topic = rawTopic(uniqueProject('kills'))
  return {
    env: {
      DATABASE_URL,
      OBJECT_STORE_URL: objectsUrl,
      SPOOL_DIR: join(folder, 'spool'),
      TOPIC: topic,
      PARTITIONS: String(partitions),
      PLANTED: planted ?? '',
      // Starting is most of a life.
      NODE_COMPILE_CACHE: join(folder, 'compiled')
    },
    async judge() {
      const report = await verifyArchive({ manifest, objects }, { topic })
      const violations: Violation[] = [
        ...report.problems.flatMap(({ kind, where, detail }) => broken('INV-5', `${kind}: ${detail}`, [where])),
        ...(await notOfTheLog(manifest, topic)),
        ...(await seenOtherwise(manifest, objects, topic, {
          folder: join(folder, 'read'),
          clickhouseUrl: CLICKHOUSE_URL
        }))
      ]
      const { figures } = judge({ ledger: [], log: [], letters: [], sinks: [] })
      return { violations, figures: { ...figures, logged: report.rows } }
    },
    async [Symbol.asyncDispose]() {
      await objects[Symbol.asyncDispose]()
      await postgres[Symbol.asyncDispose]()
    }
  }
}

/** The checksum in the manifest, which verify held against the rows, over the records that the log must have had. */
async function notOfTheLog(manifest: ArchiveManifest, topic: string): Promise<readonly Violation[]> {
  const files = await manifest.files({ topic })
  const wrong = files.filter(
    ({ partition, first, last, contentCrc: crc }) => contentCrc(madeRecords(partition, first, last + 1n)) !== crc
  )
  const held = new Set(files.map(({ partition }) => partition))
  return [
    ...broken(
      'INV-5',
      'rows that the log does not have',
      wrong.map(({ key }) => key)
    ),
    ...broken(
      'INV-5',
      `only ${held.size} of ${partitions} partitions got a file`,
      held.size === partitions ? [] : [topic]
    )
  ]
}

async function seenOtherwise(
  manifest: ArchiveManifest,
  objects: ObjectStore,
  topic: string,
  where: { readonly folder: string; readonly clickhouseUrl: string }
): Promise<readonly Violation[]> {
  const found = await readOtherwise(await manifest.files({ topic }), objects, where)
  return broken('INV-5', 'a file is read otherwise by others', found)
}
