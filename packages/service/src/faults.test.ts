import { describe, expect, it } from 'vitest'
import { createFaults, parseFaults, plantedBugs } from './faults.ts'
import type { FaultEffects } from './faults.ts'

function recorder(): FaultEffects & { readonly seen: string[] } {
  const seen: string[] = []
  return {
    seen,
    signal: (name) => void seen.push(name),
    sleep: async (ms) => void seen.push(`sleep ${ms}`),
    note: (line) => void seen.push(line)
  }
}

describe('parseFaults', () => {
  it('reads every form of the grammar', () => {
    expect(parseFaults('loader.after-insert:kill:3,a:stop,b:throw:2,c:delay:250,d:delay:10:4')).toEqual([
      { label: 'loader.after-insert', action: 'kill', delayMs: 0, hit: 3 },
      { label: 'a', action: 'stop', delayMs: 0, hit: 1 },
      { label: 'b', action: 'throw', delayMs: 0, hit: 2 },
      { label: 'c', action: 'delay', delayMs: 250, hit: undefined },
      { label: 'd', action: 'delay', delayMs: 10, hit: 4 }
    ])
  })

  it('names every part that is not a fault', () => {
    expect(() => parseFaults('a:kill,b:burn,c:delay,d:kill:0')).toThrow(/not a fault: b:burn, c:delay, d:kill:0;/)
  })
})

describe('createFaults', () => {
  it('does nothing without a value, whether testing or not', () => {
    expect(createFaults(undefined, false).at('x')).toBeUndefined()
    expect(createFaults('', true).at('x')).toBeUndefined()
  })

  it('refuses faults outside a test', () => {
    expect(() => createFaults('x:kill', false)).toThrow(/MILLRACE_TEST=1/)
  })

  it('kills at the numbered passage of its own label only, and notes it before', async () => {
    const effects = recorder()
    const faults = createFaults('x:kill:2', true, effects)
    await faults.at('y')
    await faults.at('x')
    expect(effects.seen).toEqual([])
    await faults.at('y')
    await faults.at('x')
    expect(effects.seen).toEqual(['fault: kill at x, passage 2', 'SIGKILL'])
    await faults.at('x')
    expect(effects.seen).toHaveLength(2)
  })

  it('delays every passage and freezes one, in the order of the rules', async () => {
    const effects = recorder()
    const faults = createFaults('x:delay:5,x:stop:2', true, effects)
    await faults.at('x')
    await faults.at('x')
    expect(effects.seen.filter((line) => !line.startsWith('fault'))).toEqual(['sleep 5', 'sleep 5', 'SIGSTOP'])
  })

  it('throws at the passage asked for', async () => {
    const faults = createFaults('x:throw', true, recorder())
    await expect(faults.at('x')).rejects.toThrow('fault at x')
    await faults.at('x')
  })
})

describe('plantedBugs', () => {
  it('is a set of names under test, empty without a value, refused outside a test', () => {
    expect(plantedBugs('a,b', true)).toEqual(new Set(['a', 'b']))
    expect(plantedBugs(undefined, false)).toEqual(new Set())
    expect(() => plantedBugs('a', false)).toThrow(/MILLRACE_TEST=1/)
  })
})
