// What every whole-stack test starts with: all services on the test stack, with a group session short enough that a
// killed worker is replaced within seconds.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, onTestFinished } from 'vitest'
import { testEndpoints } from '@millrace/testkit/endpoints'
import { openPipeline } from '@millrace/testkit/pipeline'
import type { Pipeline, PipelineOptions } from '@millrace/testkit/pipeline'

/** Opens a pipeline that is stopped when the test ends; the logs of a failed test stay in the folder that it names. */
export async function openE2e(options: Partial<PipelineOptions> = {}): Promise<Pipeline> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-e2e-'))
  const pipeline = await openPipeline({ endpoints: testEndpoints(), folder, ...options })
  onTestFinished(async ({ task }) => {
    await pipeline[Symbol.asyncDispose]()
    if (task.result?.state === 'fail') console.log(`logs of the services: ${folder}`)
    else await rm(folder, { recursive: true, force: true })
  })
  return pipeline
}

/** One pipeline for all tests of the file that calls it, stopped behind the last of them; gives the way to it. */
export function oneE2e(options: Partial<PipelineOptions> = {}): () => Pipeline {
  const stack = new AsyncDisposableStack()
  let pipeline: Pipeline | undefined
  let folder = ''
  let failed = false
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-e2e-'))
    pipeline = stack.use(await openPipeline({ endpoints: testEndpoints(), folder, ...options }))
  })
  afterEach(({ task }) => {
    failed ||= task.result?.state === 'fail'
  })
  afterAll(async () => {
    await stack.disposeAsync()
    if (failed || pipeline === undefined) console.log(`logs of the services: ${folder}`)
    else await rm(folder, { recursive: true, force: true })
  })
  return () => {
    if (pipeline === undefined) throw new Error('the pipeline is open in tests only')
    return pipeline
  }
}
