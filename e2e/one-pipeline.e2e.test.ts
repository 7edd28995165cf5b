// What a pipeline promises while nothing hurts it. To start all services takes longer than any of these tests, so they
// share one; each has projects of its own.
import { randomBytes } from 'node:crypto'
import { describe } from 'vitest'
import { badInput } from './one-pipeline/bad-input.ts'
import { firstEvent } from './one-pipeline/first-event.ts'
import { monitored } from './one-pipeline/monitored.ts'
import { poison } from './one-pipeline/poison.ts'
import { projects } from './one-pipeline/projects.ts'
import { schemas } from './one-pipeline/schemas.ts'
import { oneE2e } from './open-e2e.ts'

const pepper = randomBytes(16).toString('hex')
const one = oneE2e({ pepper })

// Promises a time, so nothing runs beside it.
firstEvent(one)

// These mostly wait.
describe.concurrent('beside each other', () => {
  badInput(one)
  poison(one)
  projects(one)
  schemas(one)
})

monitored(one, pepper)
