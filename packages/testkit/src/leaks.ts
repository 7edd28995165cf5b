// Fails the test that leaves something open: a socket, a server, a child process, a timer that keeps the process.
import { afterEach, beforeEach, expect } from 'vitest'
import { systemClock } from '@millrace/kernel'

/** What keeps a process alive, as Node names it, with how often. */
type Held = ReadonlyMap<string, number>

/** Kinds that come and go by themselves or belong to the test runner. */
const ignored = new Set([
  'TTYWrap',
  'FSReqCallback',
  'FSReqPromise',
  'GetAddrInfoReqWrap',
  'WriteWrap',
  'Immediate',
  'PipeWrap'
])

/** Counts what keeps this process alive now, without the kinds that come and go by themselves. */
export function heldResources(names: readonly string[] = process.getActiveResourcesInfo()): Held {
  const held = new Map<string, number>()
  for (const name of names) if (!ignored.has(name)) held.set(name, (held.get(name) ?? 0) + 1)
  return held
}

/** What `after` holds more than `before`: `TCPSocketWrap x2`, sorted. */
export function leaked(before: Held, after: Held): string[] {
  return [...after]
    .map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const)
    .filter(([, more]) => more > 0)
    .map(([name, more]) => `${name} x${more}`)
    .toSorted()
}

/** From here on each test of the file fails when it still holds more than it found, `graceMs` after its end. */
export function failOnLeaks(graceMs = 2_000): void {
  let before: Held = new Map()
  beforeEach(() => {
    before = heldResources()
  })
  afterEach(async () => {
    const deadline = systemClock.monotonic() + graceMs
    let more = leaked(before, heldResources())
    while (more.length > 0 && systemClock.monotonic() < deadline) {
      await systemClock.sleep(20)
      // The sleep above is over, so its own timer is not in the count.
      more = leaked(before, heldResources())
    }
    expect(more, 'left open by this test').toEqual([])
  })
}
