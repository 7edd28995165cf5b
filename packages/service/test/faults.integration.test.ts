// A fault is a promise about a process: it really dies, and only under test.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const fixture = fileURLToPath(new URL('fixture-service.ts', import.meta.url))

async function run(env: Readonly<Record<string, string>>) {
  const child = spawn(process.execPath, [fixture], {
    env: { PATH: process.env['PATH'] ?? '', ROWS: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  return { code, signal, output }
}

describe('faults of a service', () => {
  it('kill the process at the label, without any clean-up', async () => {
    const { code, signal, output } = await run({ MILLRACE_FAULTS: 'fixture.started:kill', MILLRACE_TEST: '1' })
    expect({ code, signal }).toEqual({ code: null, signal: 'SIGKILL' })
    expect(output).toBe('fault: kill at fixture.started, passage 1\n')
  })

  it('are refused without MILLRACE_TEST=1: the service does not start', async () => {
    const { code, output } = await run({ MILLRACE_FAULTS: 'fixture.started:kill' })
    expect(code).toBe(1)
    expect(output).toContain('MILLRACE_FAULTS works only together with MILLRACE_TEST=1')
  })

  it('are refused when they are not of the grammar', async () => {
    const { code, output } = await run({ MILLRACE_FAULTS: 'fixture.started:explode', MILLRACE_TEST: '1' })
    expect(code).toBe(1)
    expect(output).toContain('not a fault: fixture.started:explode')
  })
})
