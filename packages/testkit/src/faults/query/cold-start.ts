// Five hundred equal questions at once, at two processes, with nothing in the cache: the engine is asked once.
import type { FaultCase } from '../fault-case.ts'
import { broken } from '../oracle.ts'
import { openQueryRig, plainOf, verdictOf } from './rig.ts'

const questions = 500

export const coldStart: FaultCase = {
  name: 'cold-start',
  title: `${questions} equal questions at once to two processes with a cold cache`,
  counters: ['answered by who made it', 'answered from the cache'],
  async run(context) {
    await using rig = await openQueryRig(context, { processes: 2, projects: 1 })
    const [project] = rig.projects
    if (project === undefined) throw new Error('the rig has no project')
    // Long enough for all of them to come in meanwhile.
    const sql = `SELECT count(), max(eventType) FROM events WHERE NOT ignore(arrayMap(x -> sipHash128(x), range(400000)))`
    const answers = await Promise.all(
      Array.from({ length: questions }, (_, index) => rig.ask(project, sql, { process: index % 2 }))
    )
    for (const { cache } of answers)
      context.counters.count(cache === 'MISS' ? 'answered by who made it' : 'answered from the cache')
    const asked = rig.proxy.total(project.projectId)
    const wrong = answers.filter((answer) => answer.status !== 200 || !plainOf(answer).includes(`[[${project.events},`))
    return verdictOf(
      [
        ...broken('progress', 'the engine was asked more than once', asked === 1 ? [] : [`${asked} times`]),
        ...broken(
          'INV-3',
          'an answer is wrong',
          wrong.map(({ status, body }) => `${status} ${body.slice(0, 200)}`)
        )
      ],
      answers
    )
  }
}
