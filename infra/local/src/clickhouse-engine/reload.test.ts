import { describe, expect, it } from 'vitest'
import { createReload } from './reload.ts'

/** An engine with the dictionaries and source states given, and the dictionaries it was told to load. */
function engine(state: { dictionaries: string; sources: string; broken?: boolean; failing?: string }) {
  const loaded: string[] = []
  const run = async (sql: string): Promise<string> => {
    if (state.broken === true) throw new Error('busy')
    if (state.failing !== undefined && sql.endsWith(state.failing)) throw new Error('no memory')
    if (sql.startsWith('SYSTEM')) loaded.push(sql.slice('SYSTEM RELOAD DICTIONARY '.length))
    return sql.includes('system.dictionaries') ? state.dictionaries : sql.includes('system.parts') ? state.sources : ''
  }
  return { reload: createReload(run), loaded }
}

describe('dictionaries of the engine', () => {
  it('are loaded when they appear and when their tables change, and not otherwise', async () => {
    const state = { dictionaries: 'app\tpersons\nother\tpersons\n', sources: 'app\t1\nother\t1\n' }
    const { reload, loaded } = engine(state)
    expect(await reload()).toBe(2)
    expect(await reload()).toBe(0)
    state.sources = 'app\t2\nother\t1\n'
    expect(await reload()).toBe(1)
    state.dictionaries = 'app\tdevices\napp\tpersons\n'
    expect(await reload()).toBe(2)
    expect(loaded).toEqual([
      '`app`.`persons`',
      '`other`.`persons`',
      '`app`.`persons`',
      '`app`.`devices`',
      '`app`.`persons`'
    ])
  })

  it('are tried again when one of their database failed', async () => {
    const state = { dictionaries: 'app\tdevices\napp\tpersons\n', sources: 'app\t1\n', failing: '`devices`' }
    const { reload, loaded } = engine(state)
    expect(await reload()).toBe(1)
    state.failing = 'none'
    expect(await reload()).toBe(2)
    expect(await reload()).toBe(0)
    expect(loaded).toEqual(['`app`.`persons`', '`app`.`devices`', '`app`.`persons`'])
  })

  it('wait for an engine that does not answer', async () => {
    const state = { dictionaries: 'app\tpersons\n', sources: '', broken: true }
    const { reload, loaded } = engine(state)
    expect(await reload()).toBe(0)
    state.broken = false
    expect(await reload()).toBe(1)
    expect(loaded).toEqual(['`app`.`persons`'])
  })
})
