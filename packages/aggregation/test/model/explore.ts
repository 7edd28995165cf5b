// Every world that can be reached, breadth first, or one random way; each world is checked, and from some of them it is
// tried whether everything comes right once faults stop.
import { createRandom } from '@millrace/testkit/random'
import { actionsOf } from './actions.ts'
import type { Action } from './actions.ts'
import { check, checkSettled } from './check.ts'
import { viewsOf } from './scenario.ts'
import type { Scenario } from './scenario.ts'
import { step } from './step.ts'
import { firstWorld, keyOf } from './world.ts'
import type { World } from './world.ts'

export interface Exploration {
  readonly worlds: number
  /** Whether nothing was left to explore. */
  readonly complete: boolean
  /** The first wrong, with the shortest way to it; empty when there is none. */
  readonly wrong: string
  readonly trace: string
}

/** All reachable worlds, at most `maxWorlds`; the first 500 and every `settleEvery`th are also run to their end. */
export function explore(scenario: Scenario, { maxWorlds = 200_000, settleEvery = 64 } = {}): Exploration {
  const views = viewsOf(scenario)
  const first = firstWorld(scenario, views)
  const seen = new Set([keyOf(first)])
  let level: { readonly world: World; readonly way: Way | undefined }[] = [{ world: first, way: undefined }]
  while (level.length > 0) {
    const next: typeof level = []
    for (const { world, way } of level) {
      for (const action of actionsOf(scenario, views, world)) {
        const reached = step(scenario, views, world, action)
        const key = keyOf(reached)
        if (seen.has(key)) continue
        seen.add(key)
        const here = { action, before: way }
        const settling: Action[] = []
        let wrong = check(scenario, views, reached)
        const settles = seen.size % settleEvery === 0 || (seen.size < 500 && settleEvery < Infinity)
        if (wrong === '' && settles) wrong = checkSettled(scenario, views, reached, settling)
        if (wrong !== '')
          return { worlds: seen.size, complete: false, wrong, trace: show([...unroll(here), ...settling]) }
        next.push({ world: reached, way: here })
      }
      if (seen.size > maxWorlds) return { worlds: seen.size, complete: false, wrong: '', trace: '' }
    }
    level = next
  }
  return { worlds: seen.size, complete: true, wrong: '', trace: '' }
}

/** One random way of at most `steps` through `scenario`, and then to its end. */
export function wander(scenario: Scenario, seed: number, steps = 250): Exploration {
  const random = createRandom(seed)
  const views = viewsOf(scenario)
  const trace: Action[] = []
  let world = firstWorld(scenario, views)
  for (let count = 0; count < steps; count++) {
    const actions = actionsOf(scenario, views, world)
    const [first] = actions
    if (first === undefined) break
    let rest = random() * actions.reduce((sum, action) => sum + weightOf(action), 0)
    const action = actions.find((each) => (rest -= weightOf(each)) <= 0) ?? first
    trace.push(action)
    world = step(scenario, views, world, action)
    const wrong = check(scenario, views, world)
    if (wrong !== '') return { worlds: count, complete: false, wrong, trace: show(trace) }
  }
  const wrong = checkSettled(scenario, views, world, trace)
  return { worlds: trace.length, complete: wrong === '', wrong, trace: show(trace) }
}

interface Way {
  readonly action: Action
  readonly before: Way | undefined
}

function unroll(way: Way): Action[] {
  const actions: Action[] = []
  for (let at: Way | undefined = way; at !== undefined; at = at.before) actions.unshift(at.action)
  return actions
}

function show(actions: readonly Action[]): string {
  return actions
    .slice(0, 60)
    .map(({ name, who, what, to }) => [name, who, what, to].filter((x) => x !== undefined).join(' '))
    .join(' > ')
}

const weights: Readonly<Record<string, number>> = {
  crash: 0.05,
  lose: 0.02,
  tear: 0.05,
  snapshot: 0.1,
  rollback: 0.15,
  build: 0.2,
  abort: 0.05,
  unseal: 0.1,
  recheck: 0.3,
  'wall-clock': 0.3
}

const weightOf = ({ name }: Action): number => weights[name] ?? 1
