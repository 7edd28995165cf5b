import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, onTestFinished, test } from 'vitest'
import { systemClock } from '@millrace/kernel'
import { endProcess, isAlive, recordOf, signalProcess } from './process-record.ts'
import type { ProcessRecord } from './process-record.ts'

async function start(script: string): Promise<{ record: ProcessRecord; ended: Promise<unknown[]> }> {
  const child = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  const record = recordOf(child.pid ?? 0)
  if (record === undefined) throw new Error('the process ended at once')
  return { record, ended: once(child, 'exit') }
}

test('a process that got the pid of a recorded one is neither alive nor signalled', async () => {
  const { record } = await start('echo up; exec sleep 60')
  const earlier = { ...record, startedAt: `${record.startedAt}0` }
  expect(isAlive(record)).toBe(true)
  expect(isAlive(earlier)).toBe(false)
  expect(signalProcess(earlier, 'SIGKILL')).toBe(false)
  await endProcess(earlier, { signal: 'SIGKILL', timeoutMs: 1_000, clock: systemClock })
  expect(isAlive(record)).toBe(true)
})

test('a process that ignores its signal is killed after the deadline', async () => {
  const { record, ended } = await start('trap "" TERM; echo up; while :; do sleep 0.05; done')
  await endProcess(record, { signal: 'SIGTERM', timeoutMs: 60, clock: systemClock })
  expect(isAlive(record)).toBe(false)
  expect(await ended).toEqual([null, 'SIGKILL'])
})

test('a process that was stopped is continued, so that it can end in its own order', async () => {
  const { record, ended } = await start('trap "exit 7" TERM; echo up; while :; do sleep 0.02; done')
  signalProcess(record, 'SIGSTOP')
  await endProcess(record, { signal: 'SIGTERM', timeoutMs: 5_000, clock: systemClock })
  expect(await ended).toEqual([7, null])
})
