// All scripts of the live state against the reducers, on a Redis of its own; the counts show that nothing was left out.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Redis } from '@millrace/stores/redis'
import { createRandom } from '@millrace/testkit/random'
import { runHistory } from './history.ts'
import { pointerKey } from '../src/keys.ts'
import { openOwnStateRedis } from './own-state-redis.ts'
import { clear, readPlain } from './redis-state.ts'

const stack = new AsyncDisposableStack()
let redis: Redis

beforeAll(async () => {
  redis = await openOwnStateRedis(stack)
})
afterAll(() => stack.disposeAsync())

/** MILLRACE_LONG_HISTORIES: how many histories instead of the few that fit into a test run. */
const histories = Number(process.env['MILLRACE_LONG_HISTORIES'] ?? 8)

const answers = [
  ...['ok', 'gap', 'done', 'duplicate', 'refold', 'sealed', 'epoch', 'broken'].map((kind) => `apply ${kind}`),
  ...['ok', 'gap', 'epoch', 'sealed'].map((kind) => `tell ${kind}`),
  ...['ok', 'epoch', 'broken'].flatMap((kind) => [`close ${kind}`, `remove ${kind}`]),
  ...['ok', 'epoch'].flatMap((kind) => [`confirm windows ${kind}`, `confirm sessions ${kind}`]),
  ...['names', 'epoch', 'broken'].map((kind) => `dirty ${kind}`),
  ...['ok', 'epoch', 'not-sealed', 'behind'].map((kind) => `flip ${kind}`),
  ...['ok', 'lost-race'].flatMap((kind) => [`begin ${kind}`, `init ${kind}`]),
  ...['ok', 'live'].map((kind) => `abort ${kind}`),
  ...['ok', 'epoch', 'not-sealed'].map((kind) => `replace ${kind}`),
  'closed a session',
  'closed a session again',
  'closed a session that is not whole',
  'removed an hour',
  'removed a window',
  'removed a window of members',
  'removed a session',
  'kept a session to emit',
  'kept a window to emit',
  'seal ok',
  'read',
  'sweep',
  'look',
  'rollback'
]

describe('the scripts of the live state', () => {
  it(
    'answer and leave what the reducers do, over random histories of everything',
    async () => {
      const seen = new Map<string, number>()
      for (let seed = 1; seed <= histories; seed++) {
        const project = `history-${seed}`
        const random = createRandom(`history ${seed}`)
        await runHistory({ redis, project, random, turns: 220, isCalm: seed % 2 === 0, seen }).catch(
          (error: unknown) => {
            throw new Error(`history ${seed}`, { cause: error })
          }
        )
        const names = [pointerKey(project), ...Object.keys(await readPlain(redis, project))]
        const slots = await Promise.all(names.map((name) => redis.command('CLUSTER', 'KEYSLOT', name)))
        expect(new Set(slots).size).toBe(1)
        await clear(redis, project)
      }
      expect(answers.filter((answer) => !seen.has(answer))).toEqual([])
    },
    Math.max(60_000, histories * 10_000)
  )
})
