import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { installLine, installPrograms, javaMajor, missingPrograms } from './system-packages.ts'
import type { CommandResult, InstallFiles, RunCommand } from './system-packages.ts'

const ok: CommandResult = { code: 0, output: '' }
const absent: CommandResult = { code: 127, output: '' }

async function installFiles(): Promise<InstallFiles> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-setup-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  return { policy: join(folder, 'policy-rc.d'), clusterConfig: join(folder, 'pg', 'createcluster.conf') }
}

describe('missingPrograms', () => {
  test('is empty on a machine that has everything', async () => {
    const run: RunCommand = async (file) => (file === 'java' ? { code: 0, output: 'openjdk version "21.0.2"' } : ok)
    expect(await missingPrograms(run)).toEqual([])
  })

  test('names what is absent, and a Java that is too old', async () => {
    const run: RunCommand = async (file) => (file === 'java' ? { code: 0, output: 'java version "1.8.0_292"' } : absent)
    expect(await missingPrograms(run)).toEqual(['java', 'mvn', 'redis-server', 'postgres'])
  })

  test.each(['chromium', 'pgbouncer', 'nginx', 'prometheus'] as const)(
    'asks for %s only when it is wanted',
    async (program) => {
      const run: RunCommand = async (file) =>
        file === 'java' ? { code: 0, output: 'openjdk version "21.0.2"' } : file === program ? absent : ok
      expect(await missingPrograms(run)).toEqual([])
      expect(await missingPrograms(run, [program])).toEqual([program])
    }
  )
})

test.each([
  ['openjdk version "17.0.15" 2025-04-15', 17],
  ['java version "1.8.0_292"', 8],
  ['openjdk version "25" 2025-09-16', 25],
  ['no java here', 0]
])('the major version of %s is %i', (output, major) => expect(javaMajor(output)).toBe(major))

test('the line to run names the package of each missing program', () => {
  expect(installLine(['java', 'redis-server'])).toBe(
    'sudo apt-get update && sudo apt-get install -y --no-install-recommends openjdk-17-jre-headless redis-server'
  )
})

describe('installPrograms', () => {
  test('installs with service starts forbidden, and lifts the ban afterwards', async () => {
    const files = await installFiles()
    const commands: string[] = []
    const during: string[] = []
    const run: RunCommand = async (file, args) => {
      commands.push([file, ...args].join(' '))
      if (file === 'env') during.push(await readFile(files.policy, 'utf8'), await readFile(files.clusterConfig, 'utf8'))
      return ok
    }
    await installPrograms(['redis-server', 'postgres'], { log: () => {}, run, files })
    expect(commands[0]).toBe('apt-get update -qq')
    expect(commands.at(-1)).toMatch(/ install -y --no-install-recommends .* redis-server postgresql$/)
    expect(during[0]).toContain('exit 101')
    expect(during[1]).toContain('create_main_cluster = false')
    expect(existsSync(files.policy)).toBe(false)
  })

  test('brings back the ban that was there, also when apt fails', async () => {
    const files = await installFiles()
    await writeFile(files.policy, '#!/bin/sh\n# theirs\nexit 101\n', { mode: 0o700 })
    const run: RunCommand = async (file) => (file === 'env' ? { code: 100, output: 'E: no space left' } : ok)
    await expect(installPrograms(['mvn'], { log: () => {}, run, files })).rejects.toThrow(
      /ended with 100:\nE: no space left/
    )
    expect(await readFile(files.policy, 'utf8')).toContain('# theirs')
    expect((await stat(files.policy)).mode & 0o777).toBe(0o700)
    expect(existsSync(files.clusterConfig)).toBe(false)
  })

  test('takes the newer Java where the distribution has no other', async () => {
    const files = await installFiles()
    const commands: string[] = []
    const run: RunCommand = async (file, args) => {
      commands.push(args.at(-1) ?? '')
      return file === 'apt-cache' && args[1] === 'openjdk-17-jre-headless' ? { code: 100, output: '' } : ok
    }
    await installPrograms(['java'], { log: () => {}, run, files })
    expect(commands.at(-1)).toBe('openjdk-21-jre-headless')
  })
})
