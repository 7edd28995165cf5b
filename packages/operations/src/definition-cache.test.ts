import { describe, expect, it } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import type { Queryable, Row } from '@millrace/stores/postgres'
import { startDefinitionCache } from './definition-cache.ts'

const row = (version: number, startHour: number) => ({
  project_id: 'shop',
  name: 'spend',
  version,
  effective_from: new Date(startHour * 3_600_000),
  definition: { measure: { kind: 'sum', property: 'price' } }
})

function cacheOver(answer: () => readonly Row[]) {
  const clock = createManualClock(0)
  const postgres: Queryable = { query: async <R extends Row>() => answer() as readonly R[] }
  const stop = new AbortController()
  const base = { clock, log: createSilentLogger(), signal: stop.signal, conversionTypes: ['purchase'] }
  return { clock, stop, cache: startDefinitionCache({ ...base, postgres }) }
}

describe('the definitions that workers count by', () => {
  it('are those of every project and all versions of its own, and the same list until one is added', async () => {
    let rows = [row(1, 5)]
    const { cache, clock, stop } = cacheOver(() => rows)
    await clock.advance(0)
    const first = cache.of('shop')
    expect(first.map(({ name }) => name)).toContain('events')
    expect(first.at(-1)).toMatchObject({ name: 'spend', version: 1, effectiveFromMs: 5 * 3_600_000 })
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
    expect(cache.at('shop', 'spend', 6 * 3_600_000)?.version).toBe(1)
    expect(cache.at('shop', 'spend')?.version).toBe(2)
    expect(cache.at('shop', 'spend', 0)).toBeUndefined()
    stop.abort()
  })

  it('make workers wait when they could not be read for two minutes, and are read again then', async () => {
    let away = true
    const { cache, clock, stop } = cacheOver(() => {
      if (away) throw new AppError('PIPE_POSTGRES_UNAVAILABLE', 'away')
      return []
    })
    await clock.advance(0)
    expect(() => cache.of('shop')).toThrow(expect.objectContaining({ code: 'PIPE_LIVE_STATE', class: 'transient' }))
    away = false
    await clock.advance(1_000)
    expect(cache.of('shop').length).toBeGreaterThan(3)
    away = true
    await clock.advance(120_000)
    expect(cache.of('shop').length).toBeGreaterThan(3)
    await clock.advance(1)
    expect(() => cache.of('shop')).toThrow('not known')
    stop.abort()
  })
})
