// docs/operations.md: a service with bad settings says everything that is wrong at once and does not start.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { repositoryRoot } from '@millrace/local-stack/layout'
import { services } from '@millrace/local-stack/services'
import { describe, expect, it } from 'vitest'

describe.concurrent('a service started with bad settings', () => {
  it.each(services.map(({ name }) => name))('%s lists all of them at once and exits 1', async (name) => {
    const child = spawn(process.execPath, [`services/${name}/src/main.ts`], {
      cwd: repositoryRoot,
      env: { PATH: process.env['PATH'], PORT: 'http', LOG_LEVEL: 'loud', STOP_TIMEOUT_MS: 'soon' },
      stdio: ['ignore', 'pipe', 'pipe']
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    const [code] = (await once(child, 'close')) as [number | null]
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    const [summary, ...lines] = stderr.trim().split('\n')
    expect(summary).toBe(`${name}: ${lines.length} setting(s) are wrong:`)
    const variables = lines.map((line) => line.trim().split(/\s+/)[0])
    expect(variables).toEqual(expect.arrayContaining(['PORT', 'LOG_LEVEL', 'STOP_TIMEOUT_MS']))
    expect(variables.length, 'required settings are listed too').toBeGreaterThan(3)
  })
})
