import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSilentLogger } from '@millrace/observability'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { eventually } from '@millrace/testkit/eventually'
import { unique } from '@millrace/testkit/unique'
import { openRedis } from '../src/redis.ts'
import type { Redis } from '../src/redis.ts'
import { createSharedBuckets } from '../src/shared-buckets.ts'
import type { SharedBuckets, Spending } from '../src/shared-buckets.ts'

const stack = new AsyncDisposableStack()
const slow = { eventsPerSecond: 0.1, burst: 10 }
let redis: Redis
let buckets: SharedBuckets

beforeAll(async () => {
  const options = { url: testEndpoints().REDIS_DEDUP_URL, role: 'dedup', log: createSilentLogger() } as const
  redis = stack.use(await openRedis({ ...options, requirePolicy: 'now', commandTimeoutMs: 2_000 }))
  buckets = createSharedBuckets(redis)
})
afterAll(() => stack.disposeAsync())

const spend = (projectId: string, more: Partial<Spending> = {}): Spending => ({
  projectId,
  scope: 'project',
  subject: '',
  rate: slow,
  count: 1,
  ...more
})

describe('shared buckets', () => {
  it('add up what every process spends, and say how long filling takes', async () => {
    const project = unique('limit')
    expect(await buckets.spend([spend(project)])).toEqual([10_000])
    const [wait = 0] = await createSharedBuckets(redis).spend([spend(project, { count: 4 })])
    expect(wait).toBeGreaterThan(49_000)
    expect(wait).toBeLessThanOrEqual(50_000)
    expect(await redis.command('PTTL', `limit:{${project}}:project`)).toBeGreaterThan(45_000)
  })

  it('are apart for each project, type and user, and answer in the order asked', async () => {
    const [one, two] = [unique('limit'), unique('limit')]
    const spendings = [
      spend(one, { count: 1 }),
      spend(two, { count: 2 }),
      spend(one, { count: 3, scope: 'type', subject: 'click' }),
      spend(one, { count: 4, scope: 'type', subject: 'view' }),
      spend(one, { count: 5, scope: 'user', subject: 'click' }),
      spend(two, { count: 6, scope: 'user', subject: 'a@b.example' })
    ]
    expect(await buckets.spend(spendings)).toEqual([10_000, 20_000, 30_000, 40_000, 50_000, 60_000])
    expect(await redis.command('KEYS', `limit:{${two}}:*`)).not.toContain('a@b.example')
  })

  it('keep a debt that grows no longer than ten seconds past an empty bucket', async () => {
    const project = unique('limit')
    const rate = { eventsPerSecond: 10, burst: 20 }
    expect(await buckets.spend([spend(project, { count: 1_000_000, rate })])).toEqual([12_000])
  })

  it('take more buckets of a project than one call holds', async () => {
    const project = unique('limit')
    const many = Array.from({ length: 1_200 }, (_, at) => spend(project, { scope: 'type', subject: `t${at}` }))
    expect(new Set(await buckets.spend(many))).toEqual(new Set([10_000]))
  })

  it('are gone when they are full again', async () => {
    const project = unique('limit')
    const rate = { eventsPerSecond: 20, burst: 5 }
    expect(await buckets.spend([spend(project, { rate })])).toEqual([50])
    const exists = (): Promise<unknown> => redis.command('EXISTS', `limit:{${project}}:project`)
    await eventually('the bucket is gone', async () => (await exists()) === 0)
  })
})
