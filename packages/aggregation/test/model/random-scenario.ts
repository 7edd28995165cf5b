// Random histories for random ways: duplicates, late records, growth, brokers and consumers whose clocks differ.
import { createRandom } from '@millrace/testkit/random'
import { append, scenario, time } from './scenario.ts'
import type { Happening, Scenario } from './scenario.ts'

interface Made {
  readonly bit: number
  readonly partition: number
  readonly eventMs: number
}

/** The scenario of a seed. */
export function randomScenario(seed: number): Scenario {
  const random = createRandom(`scenario ${seed}`)
  const partitions = 2 + random.below(2)
  const latenessMs = 2
  const skew = Array.from({ length: partitions + 1 }, () => random.below(3) - 1)
  const total = 6 + random.below(9)
  const growAt = random.chance(0.4) ? 2 + random.below(total - 2) : -1
  const happenings: Happening[] = []
  const made: Made[] = []
  const lastMs: number[] = []
  let count = partitions
  let nowMs = 3
  for (let turn = 0; turn < total; turn++) {
    nowMs += random.below(3)
    if (turn === growAt) {
      happenings.push({ kind: 'grow' })
      count++
    }
    const old = made.length > 0 && random.chance(0.3) ? random.pick(made) : undefined
    const moved = count > partitions && random.chance(0.6)
    const partition = old === undefined ? random.below(count) : moved ? partitions : old.partition
    const appendedMs = Math.max(nowMs + (skew[partition] ?? 0), lastMs[partition] ?? 0)
    lastMs[partition] = appendedMs
    const ageMs = random.chance(0.15) ? latenessMs + 1 + random.below(3) : random.below(latenessMs + 1)
    const event = old ?? { bit: made.length, partition, eventMs: Math.max(0, appendedMs - ageMs) }
    if (old === undefined) made.push(event)
    happenings.push(append(partition, event.bit, event.eventMs, appendedMs, sessionOf(event.bit)))
  }
  happenings.push(time(nowMs + 4), time(nowMs + 80))
  return scenario({
    timing: { latenessMs, marginMs: 2, hourMs: 4, seenKeepMs: 2, sessionIdleMs: 2, sessionKeepMs: 400 },
    windowKeepMs: 5,
    partitions,
    consumers: 2 + random.below(2),
    happenings,
    faults: {
      crash: random.below(3),
      rollback: random.below(3),
      loss: random.chance(0.2) ? 1 : 0,
      build: random.chance(0.4) ? 1 : 0,
      unseal: 1,
      tear: random.chance(0.15) ? 1 : 0
    },
    removes: true,
    aborts: random.chance(0.3),
    coarse: false,
    clockOffMs: [0, 1, -1]
  })
}

/** Copies agree: whether an event has a session is a matter of its bit. */
function sessionOf(bit: number): string | undefined {
  return bit % 3 === 0 ? undefined : `s${bit % 2}`
}
