// A run that is interrupted, with real processes.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { processStartedAt } from '@millrace/local-stack/process-identity'
import { expect, it, onTestFinished } from 'vitest'

it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  'a run that gets %s leaves no process and no folder',
  async (signal) => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-stopped-'))
    const fixture = fileURLToPath(new URL('fixture-throw-away.ts', import.meta.url))
    const run = spawn(process.execPath, [fixture, folder], { stdio: ['ignore', 'pipe', 'pipe'] })
    onTestFinished(() => void run.kill('SIGKILL'))
    let errors = ''
    run.stderr.on('data', (data) => (errors += String(data)))
    const lines = createInterface(run.stdout)
    const [first] = (await once(lines, 'line')) as [string]
    const pids = first.split(' ').map(Number)
    expect(pids.map(processStartedAt)).not.toContain(undefined)
    const ended = once(run, 'close')
    run.kill(signal)
    expect([await once(lines, 'line'), await ended]).toEqual([
      [`stopping (${signal}): ending what was started`],
      [1, null]
    ])
    await expect.poll(() => pids.map(processStartedAt)).toEqual([undefined, undefined, undefined])
    expect([existsSync(folder), errors]).toEqual([false, ''])
  }
)

it('a run whose folder cannot be removed leaves no process, either, and ends', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-stopped-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  // No file system takes a name of that length.
  const removed = join(folder, 'x'.repeat(300))
  const fixture = fileURLToPath(new URL('fixture-throw-away.ts', import.meta.url))
  const run = spawn(process.execPath, [fixture, folder, removed], { stdio: ['ignore', 'pipe', 'ignore'] })
  onTestFinished(() => void run.kill('SIGKILL'))
  const [first] = (await once(createInterface(run.stdout), 'line')) as [string]
  const ended = once(run, 'close')
  run.kill('SIGTERM')
  expect(await ended).toEqual([1, null])
  await expect.poll(() => first.split(' ').map(Number).map(processStartedAt)).toEqual([undefined, undefined, undefined])
})
