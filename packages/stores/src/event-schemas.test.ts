import { describe, expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { createSilentLogger } from '@millrace/observability'
import { createEventSchemas } from './event-schemas.ts'
import type { ProjectSchemas } from './event-schemas.ts'

const text = { properties: { a: { type: 'string' } } }

function setup() {
  const clock = createManualClock()
  const state = {
    rows: [{ event_type: 'purchase', version: 1, mode: 'enforce', schema: text as unknown }],
    down: false,
    frozen: false
  }
  const asked: unknown[] = []
  const schemas = createEventSchemas({
    clock,
    log: createSilentLogger(),
    postgres: {
      async query<R>(_sql: string, params: readonly unknown[] = []) {
        asked.push(params[0])
        if (state.down) throw new Error('down')
        if (state.frozen) return await new Promise(() => {})
        return state.rows as unknown as readonly R[]
      }
    }
  })
  const of = async (project = 'shop'): Promise<ProjectSchemas> => (await schemas.of(project)) ?? expect.fail('unknown')
  return { clock, state, asked, schemas, of }
}

const versions = (schemas: ProjectSchemas | undefined): unknown =>
  schemas && [...schemas].map(([type, { version, mode }]) => `${type} ${version} ${mode}`)

describe('createEventSchemas', () => {
  it('reads the schemas of a project once for many who ask at the same time, and then from memory', async () => {
    const { asked, of, schemas } = setup()
    await Promise.all([of(), of(), of()])
    expect(asked).toEqual(['shop'])
    expect(schemas.of('shop')).not.toBeInstanceOf(Promise)
    const shop = await of()
    expect(shop.get('purchase')?.schema?.check({ a: 1 })).toEqual({
      pointer: '/properties/a',
      expected: 'must be string'
    })
    expect(shop.get('made up')).toBeUndefined()
    expect(asked).toHaveLength(1)
  })

  it('has a change in force within a minute: behind the requests after 20 s, before them after 60 s', async () => {
    const { clock, state, of, schemas } = setup()
    await of()
    state.rows = [{ event_type: 'purchase', version: 2, mode: 'warn', schema: {} }]
    await clock.advance(19_000)
    expect(versions(await of())).toEqual(['purchase 1 enforce'])
    await clock.advance(2_000)
    expect(versions(await of())).toEqual(['purchase 1 enforce'])
    await expect.poll(async () => versions(await of())).toEqual(['purchase 2 warn'])
    state.rows = []
    await clock.advance(61_000)
    expect(schemas.of('shop')).toBeInstanceOf(Promise)
    expect(versions(await of())).toEqual([])
  })

  it('stays with what it knows for a day while PostgreSQL is away, and says that it knows nothing of another project', async () => {
    const { clock, state, of, schemas } = setup()
    await of()
    state.down = true
    await clock.advance(23 * 3_600_000)
    expect(versions(await of())).toEqual(['purchase 1 enforce'])
    expect(await schemas.of('other')).toBeUndefined()
    await clock.advance(2 * 3_600_000)
    expect(await schemas.of('shop')).toBeUndefined()
    state.down = false
    await clock.advance(1_000)
    expect(versions(await of())).toEqual(['purchase 1 enforce'])
  })

  it('asks a PostgreSQL that failed again only after a second', async () => {
    const { clock, state, asked, of, schemas } = setup()
    await of()
    state.down = true
    await clock.advance(61_000)
    for (let request = 0; request < 100; request++) await of()
    expect(await schemas.of('other')).toBeUndefined()
    expect(asked).toEqual(['shop', 'shop'])
    await clock.advance(1_000)
    await of()
    expect(asked).toHaveLength(3)
  })

  it('waits a second, once, for a PostgreSQL that says nothing, and then uses what it knows while it asks behind', async () => {
    const { clock, state, of, schemas } = setup()
    await of()
    state.frozen = true
    await clock.advance(61_000)
    const waiting = of()
    await clock.advance(1_000)
    expect(versions(await waiting)).toEqual(['purchase 1 enforce'])
    for (let at = 0; at < 50; at++) {
      await clock.advance(100)
      expect(schemas.of('shop')).not.toBeInstanceOf(Promise)
    }
    state.frozen = false
    state.rows = []
    await clock.advance(2_000)
    await expect.poll(async () => versions(await of())).toEqual([])
  })

  it('says of a registered schema that it cannot be used, and reads the others', async () => {
    const { state, of } = setup()
    state.rows.unshift({ event_type: 'odd', version: 1, mode: 'enforce', schema: { nonsense: 1 } })
    const shop = await of()
    expect(versions(shop)).toEqual(['odd 1 enforce', 'purchase 1 enforce'])
    expect([shop.get('odd')?.schema, shop.get('purchase')?.schema?.check({ a: 'x' })]).toEqual([undefined, undefined])
  })
})
