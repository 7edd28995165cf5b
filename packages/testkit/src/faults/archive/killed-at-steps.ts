// The archiver dies at every step from reading the head to the commit, again and again, and the next one goes on.
import { readFileSync } from 'node:fs'
import { eventually } from '../../eventually.ts'
import { createRandom } from '../../random.ts'
import type { FaultCase } from '../fault-case.ts'
import { openArchiveRig } from './rig.ts'

const steps = [
  'archiver.after-head',
  'archiver.after-take',
  'archiver.before-put',
  'archiver.after-put',
  'archiver.after-claim',
  'consumer.before-commit',
  'consumer.after-commit'
] as const

const rounds = 4

export const killedAtSteps: FaultCase = {
  name: 'killed-at-steps',
  title: `the archiver SIGKILLed ${rounds} times at each of ${steps.length} steps, under load`,
  counters: steps.map((step) => `killed at ${step}`),
  async run(context) {
    const { counters, seed, say } = context
    const random = createRandom(`archive-${seed}`)
    const hits = Array.from({ length: rounds * steps.length }, () => 1 + random.below(4))
    await using rig = await openArchiveRig(context)
    const archiver = await rig.startArchiver({
      startEnv(start) {
        // The first life is ended from outside: one that dies while it starts would look like one that cannot.
        const fault = start - 2
        const step = steps[fault % steps.length] ?? steps[0]
        // The head is read once per life.
        const hit = step === 'archiver.after-head' ? 1 : (hits[fault] ?? 1)
        return fault < 0 || fault >= hits.length ? {} : { MILLRACE_FAULTS: `${step}:kill:${hit}` }
      }
    })
    await rig.moves(100)
    archiver.kill('SIGKILL')
    const lives = (): boolean => archiver.starts === hits.length + 2
    await eventually(`life ${hits.length + 2} of the archiver`, lives, { timeoutMs: 600_000, intervalMs: 500 })
    const lines = readFileSync(archiver.logFile, 'utf8').split('\n')
    for (const step of steps)
      counters.count(`killed at ${step}`, lines.filter((line) => line.startsWith(`fault: kill at ${step},`)).length)
    say(`${archiver.starts - 1} kills; ${rig.acked()} records so far`)
    await rig.moves(500)
    return await rig.judge()
  }
}
