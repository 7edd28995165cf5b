import { describe, expect, it } from 'vitest'
import { createManualClock } from '@millrace/kernel'
import { createHub, createPeers } from './peers.ts'
import type { Link } from './peers.ts'

/** Two ends of a channel; messages pass through JSON and arrive a microtask later. */
function channel(): { readonly worker: Link; readonly primary: Link; cut(): void } {
  const handlers: { worker: ((message: unknown) => void)[]; primary: ((message: unknown) => void)[] } = {
    worker: [],
    primary: []
  }
  let open = true
  const link = (to: 'worker' | 'primary', own: 'worker' | 'primary'): Link => ({
    send: (message) => {
      const text = JSON.stringify(message)
      queueMicrotask(() => {
        if (open) for (const handler of handlers[to]) handler(JSON.parse(text))
      })
    },
    onMessage: (handler) => void handlers[own].push(handler)
  })
  return { worker: link('primary', 'worker'), primary: link('worker', 'primary'), cut: () => void (open = false) }
}

function setup(workers: number) {
  const clock = createManualClock()
  const hub = createHub(clock)
  const all = Array.from({ length: workers }, () => {
    const { worker, primary, cut } = channel()
    const forget = hub.add(primary)
    return { peers: createPeers(worker, clock), forget, cut }
  })
  return { clock, hub, all }
}

describe('a process without peers', () => {
  it('collects what it offers itself', async () => {
    const peers = createPeers(undefined, createManualClock())
    expect(await peers.collect('x')).toEqual([])
    peers.provide('x', async () => ({ from: 1 }))
    expect(await peers.collect('x')).toEqual([{ from: 1 }])
  })
})

describe('peers', () => {
  it('collect from every worker and the primary, whoever asks, each topic apart', async () => {
    const { hub, all } = setup(3)
    hub.provide('x', () => 'primary')
    for (const [at, { peers }] of all.entries()) {
      peers.provide('x', () => `x${at}`)
      peers.provide('y', () => `y${at}`)
    }
    const [first, , third] = all
    const [x, y] = await Promise.all([first?.peers.collect('x'), third?.peers.collect('y')])
    expect(x?.toSorted()).toEqual(['primary', 'x0', 'x1', 'x2'])
    expect(y?.toSorted()).toEqual(['y0', 'y1', 'y2'])
    expect(await first?.peers.collect('nothing')).toEqual([])
  })

  it('go without a worker that does not answer within a second, or fails', async () => {
    const { clock, all } = setup(3)
    const [first, second, third] = all
    first?.peers.provide('x', () => 'first')
    second?.peers.provide('x', () => Promise.reject(new Error('no')))
    third?.peers.provide('x', () => 'third')
    third?.cut()
    const collected = first?.peers.collect('x')
    await clock.advance(1_000)
    expect(await collected).toEqual(['first'])
    expect(clock.pending()).toBe(0)
  })

  it('forget a worker that has ended', async () => {
    const { clock, all } = setup(2)
    const [first, second] = all
    first?.peers.provide('x', () => 'first')
    second?.cut()
    second?.forget()
    expect(await first?.peers.collect('x')).toEqual(['first'])
    expect(clock.pending()).toBe(0)
  })
})
