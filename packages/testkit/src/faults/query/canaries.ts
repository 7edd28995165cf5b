// Ten thousand questions of five projects, most of them the same texts, among them ones that try to see more, with keys of
// all of them and keys that are none: no answer ever holds anything of another project, from the cache or from the engine.
import { createRandom } from '../../random.ts'
import type { Random } from '../../random.ts'
import type { FaultCase } from '../fault-case.ts'
import { broken } from '../oracle.ts'
import { openQueryRig, plainOf, verdictOf } from './rig.ts'
import { hostilePath, randomPath } from './paths.ts'
import type { Asked, Asking, Canaries, QueryRig } from './rig.ts'

/** The bug that leaves the project out of the names of answers. */
export const keyWithoutProject = 'query-key-without-project'

const questions = 10_000
const clients = 24

export const canaries: FaultCase = {
  name: 'canaries',
  title: `${questions} random questions with random keys of five projects that ask the same`,
  counters: ['answers', 'from the cache', 'refused questions', 'refused keys'],
  async run(context) {
    const { counters, planted, seed } = context
    await using rig = await openQueryRig(context, { projects: 5, processes: 2, env: { QUERY_QUEUE_MS: '10s' } })
    const random = createRandom(`canaries-${seed}`)
    const texts: readonly Asking[] = Array.from({ length: 200 }, (_, index) =>
      index % 4 === 0 ? randomPath(random) : randomQuery(random)
    )
    const crossed: string[] = []
    const wrong: string[] = []
    const all: Asked[] = []
    let left = planted === undefined ? questions : 2_000
    const work = async (): Promise<void> => {
      while (left-- > 0) {
        const { project, question, kind, key } = pick(rig, texts, random)
        const answer = await rig.ask({ ...project, secretKey: key }, question, { process: random.below(2) })
        all.push(answer)
        // It names the user that was asked for.
        const isShown =
          kind === 'empty' && answer.status === 200
            ? !answer.body.includes('"events":[]')
            : seesOther(rig, project, answer.body)
        if (isShown) crossed.push(`${project.projectId}: ${JSON.stringify(question)}: ${answer.body.slice(0, 200)}`)
        if (kind === 'key' && answer.status !== 401) wrong.push(`${answer.status} for a wrong key`)
        if (kind === 'count' && answer.status === 200 && !plainOf(answer).includes(`[[${project.events}]]`))
          wrong.push(`${project.events} events, counted ${answer.body.slice(0, 100)}`)
        if (answer.status === 200) counters.count('answers')
        if (answer.cache === 'HIT') counters.count('from the cache')
        if (kind === 'hostile' && answer.status === 422) counters.count('refused questions')
        if (answer.status === 401) counters.count('refused keys')
      }
    }
    await Promise.all(Array.from({ length: clients }, work))
    const alarms = await rig.series('analytics_query_cache_bad_total{kind="mismatch"}')
    const failed = all.filter(({ status }) => ![200, 401, 422].includes(status))
    return verdictOf(
      [
        ...broken('INV-9', 'an answer holds what belongs to another project', crossed),
        ...broken(
          'INV-9',
          'answers of another project lay under the name of an answer',
          alarms > 0 ? [`${alarms}`] : []
        ),
        ...broken('INV-3', 'an answer is wrong', wrong),
        ...broken(
          'progress',
          'more than 1 % of the requests failed',
          failed.length * 100 > all.length ? failed.map(({ status, body }) => `${status} ${body.slice(0, 100)}`) : []
        )
      ],
      all
    )
  }
}

interface Picked {
  readonly project: Canaries
  readonly question: Asking
  readonly kind: 'plain' | 'count' | 'hostile' | 'empty' | 'key'
  readonly key: string
}

function pick({ projects }: QueryRig, texts: readonly Asking[], random: Random): Picked {
  const project = random.pick(projects)
  const other = random.pick(projects)
  const plain = { project, question: random.pick(texts), key: project.secretKey }
  if (random.chance(0.2)) return { ...plain, kind: 'count', question: 'SELECT count() FROM events' }
  if (random.chance(0.1)) return { ...plain, kind: 'hostile', question: hostileQuery(other, random) }
  if (random.chance(0.05)) return { ...plain, kind: 'hostile', question: hostilePath(other, random) }
  if (random.chance(0.05) && other !== project)
    return { ...plain, kind: 'empty', question: { path: `users/${other.canary}/events` } }
  // One character of the secret is another one.
  if (random.chance(0.05))
    return { ...plain, kind: 'key', key: project.secretKey.replace(/.$/, (end) => (end === 'a' ? 'b' : 'a')) }
  return { ...plain, kind: 'plain' }
}

function seesOther({ projects }: QueryRig, project: Canaries, body: string): boolean {
  return projects.some(({ canary }) => canary !== project.canary && body.includes(canary))
}

/** A query of the grammar that clients use. */
function randomQuery(random: Random): string {
  const column = (): string => random.pick(['userId', 'eventId', 'eventType', 'sessionId', 'properties', 'projectId'])
  const where = random.pick([
    '',
    " WHERE eventType = 'purchase'",
    " WHERE timestamp > '2020-01-01'",
    " WHERE userId != ''"
  ])
  const limit = random.pick(['', ' LIMIT 5', ' LIMIT 20 OFFSET 3'])
  const table = random.pick(['events', 'events', 'sessions'])
  const of = table === 'sessions' ? random.pick(['userId', 'sessionId', 'projectId']) : column()
  const simple = table === 'sessions' ? '' : where
  return random.pick([
    `SELECT ${of} FROM ${table}${simple}${limit}`,
    `SELECT ${of}, count() AS n FROM ${table}${simple} GROUP BY ${of} ORDER BY n DESC${limit}`,
    `SELECT groupUniqArray(10)(${of}) FROM ${table}${simple}`,
    `SELECT any(${of}), max(${of}) FROM (SELECT * FROM ${table}${simple})`,
    `WITH x AS (SELECT ${of} AS v FROM ${table}${simple}) SELECT v FROM x${limit}`,
    `SELECT ${of} FROM ${table} UNION ALL SELECT ${column()} FROM events${where}${limit}`,
    `SELECT a.userId FROM events AS a JOIN sessions AS s ON a.sessionId = s.sessionId${limit}`,
    `SELECT count() FROM events WHERE userId IN (SELECT userId FROM ${table})`
  ])
}

/** A query that would like to see the events of `other`. */
function hostileQuery(other: Canaries, random: Random): string {
  return random.pick([
    `SELECT userId FROM events WHERE projectId = '${other.projectId}'`,
    `SELECT userId FROM app.events_raw WHERE projectId = '${other.projectId}'`,
    `SELECT userId FROM events SETTINGS log_comment = '${other.projectId}:x'`,
    `SELECT userId FROM (SELECT * FROM events SETTINGS log_comment = '')`,
    `SELECT * FROM merge('app', '^events_raw$')`,
    `SELECT userId FROM events WHERE 1 OR projectId = '${other.projectId}'`,
    `SELECT query FROM system.processes`,
    `SELECT 1; SELECT userId FROM events`
  ])
}
