import { describe, expect, it, onTestFinished } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import type { Queryable, Row } from '@millrace/stores/postgres'
import { startDefinitionCache } from './definition-cache.ts'
import type { DefinitionCacheDeps } from './definition-cache.ts'
import type { DefinitionCopy } from './definition-copy.ts'
import type { ProjectDefinition } from './metric-definitions.ts'

const hourMs = 3_600_000

const row = (version: number, startHour: number) => ({
  project_id: 'shop',
  name: 'spend',
  version,
  effective_from: new Date(startHour * hourMs),
  definition: { measure: { kind: 'sum', property: 'price' } }
})

/** A cache over rows, or over a database that is away. */
function cacheOver(answer: () => readonly Row[] | 'away', more: Partial<DefinitionCacheDeps> = {}) {
  const clock = createManualClock(0)
  const query = async <R extends Row>(): Promise<readonly R[]> => {
    const rows = answer()
    if (rows === 'away') throw new AppError('PIPE_POSTGRES_UNAVAILABLE', 'away')
    return rows as readonly R[]
  }
  const postgres: Queryable = { query }
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const missed: string[] = []
  const cache = startDefinitionCache({
    clock,
    postgres,
    log: createSilentLogger(),
    signal: stop.signal,
    conversionTypes: ['purchase'],
    onMissed: async ({ projectId, definition: { name, version } }) => {
      missed.push(`${projectId} ${name} ${version}`)
    },
    ...more
  })
  return { clock, cache, missed }
}

const unknown: unknown = expect.objectContaining({ code: 'PIPE_LIVE_STATE', class: 'transient' })

describe('the definitions that workers count by', () => {
  it('are those of every project and all versions of its own, and the same list until one is added', async () => {
    let rows = [row(1, 5)]
    const { cache, clock } = cacheOver(() => rows)
    await clock.advance(0)
    const first = cache.of('shop')
    expect(first.map(({ name }) => name)).toContain('events')
    expect(first.at(-1)).toMatchObject({ name: 'spend', version: 1, effectiveFromMs: 5 * hourMs })
    expect(cache.of('other').some(({ name }) => name === 'spend')).toBe(false)
    await clock.advance(30_000)
    expect(cache.of('shop')).toBe(first)
    rows = [row(1, 5), row(2, 7)]
    await clock.advance(30_000)
    expect(
      cache
        .of('shop')
        .filter(({ name }) => name === 'spend')
        .map(({ version }) => version)
    ).toEqual([1, 2])
    expect(cache.at('shop', 'spend', 6 * hourMs)?.version).toBe(1)
    expect(cache.at('shop', 'spend')?.version).toBe(2)
    expect(cache.at('shop', 'spend', 0)).toBeUndefined()
  })

  it('are gone on with for as long as the database is away, once they are known', async () => {
    let rows: readonly Row[] | 'away' = 'away'
    const { cache, clock } = cacheOver(() => rows)
    await clock.advance(0)
    expect(() => cache.of('shop')).toThrow(unknown)
    expect(cache.ageMs()).toBe(Number.POSITIVE_INFINITY)
    rows = [row(1, 5)]
    await clock.advance(1_000)
    const known = cache.of('shop')
    rows = 'away'
    await clock.advance(6 * hourMs)
    expect(cache.of('shop')).toBe(known)
    expect(cache.ageMs()).toBe(6 * hourMs)
  })

  it('make those wait who asked for certainty, and no longer than the database is away', async () => {
    let rows: readonly Row[] | 'away' = []
    const { cache, clock } = cacheOver(() => rows, { waitAfterMs: 120_000 })
    await clock.advance(0)
    rows = 'away'
    await clock.advance(120_000)
    expect(cache.of('shop').length).toBeGreaterThan(3)
    await clock.advance(1)
    expect(() => cache.of('shop')).toThrow(unknown)
    rows = []
    await clock.advance(30_000)
    expect(cache.of('shop').length).toBeGreaterThan(3)
  })

  it('tell of a version that began before it was read, and of no other', async () => {
    let rows: readonly Row[] | 'away' = [row(1, 0)]
    const { clock, missed } = cacheOver(() => rows)
    await clock.advance(0)
    rows = [row(1, 0), row(2, 1)]
    await clock.advance(30_000)
    expect(missed).toEqual([])
    rows = 'away'
    await clock.advance(3 * hourMs)
    rows = [row(1, 0), row(2, 1), row(3, 3), row(4, 9)]
    await clock.advance(60_000)
    expect(missed).toEqual(['shop spend 3'])
  })

  it('are those of the copy while the database has not answered, and checked against it later', async () => {
    let rows: readonly Row[] | 'away' = [row(1, 0)]
    let held: readonly ProjectDefinition[] | undefined
    const copy: DefinitionCopy = {
      write: async (written) => {
        held = written
      },
      read: async () => held
    }
    const first = cacheOver(() => rows, { copy })
    await first.clock.advance(0)
    rows = 'away'
    const second = cacheOver(() => rows, { copy })
    await second.clock.advance(0)
    expect(second.cache.of('shop').at(-1)).toMatchObject({ name: 'spend', version: 1 })
    expect(second.cache.ageMs()).toBe(Number.POSITIVE_INFINITY)
    await second.clock.advance(2 * hourMs)
    rows = [row(1, 0), row(2, 1)]
    await second.clock.advance(1_000)
    expect(second.missed).toEqual(['shop spend 2'])
    expect(second.cache.at('shop', 'spend')?.version).toBe(2)
  })

  it('tell after a restart what the process before it missed, from what the copy knew', async () => {
    let held: readonly ProjectDefinition[] | undefined
    const copy: DefinitionCopy = {
      write: async (written) => {
        held = written
      },
      read: async () => held
    }
    let rows: readonly Row[] = [row(1, 0)]
    const first = cacheOver(() => rows, { copy })
    await first.clock.advance(0)
    rows = [row(1, 0), row(2, 0)]
    const restarted = cacheOver(() => rows, { copy })
    await restarted.clock.advance(0)
    expect(restarted.missed).toEqual(['shop spend 2'])
    const fresh = cacheOver(() => rows)
    await fresh.clock.advance(0)
    expect(fresh.missed).toEqual([])
  })

  it('tell what was missed until it is taken, and count by it from the first answer on', async () => {
    let rows: readonly Row[] = [row(1, 0)]
    let failing = true
    const told: number[] = []
    const onMissed = async ({ definition }: ProjectDefinition): Promise<void> => {
      told.push(definition.version)
      if (failing) throw new AppError('PIPE_REDIS_UNAVAILABLE', 'away')
    }
    const { cache, clock } = cacheOver(() => rows, { onMissed })
    await clock.advance(0)
    rows = [row(1, 0), row(2, 0)]
    await clock.advance(30_000)
    expect(cache.at('shop', 'spend')?.version).toBe(2)
    failing = false
    await clock.advance(60_000)
    expect(told).toEqual([2, 2])
  })
})
