// The programs of the machine that the local stack and its tests run on, and their installation on Debian as root. The packages'
// own servers must not start: the stack runs its own, on its own ports.
import { spawn } from 'node:child_process'
import { chmod, lstat, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { AppError } from '@millrace/kernel'

/** A program that only tests need: the browser of the browser tests, the pooler of PostgreSQL, the edge, the monitoring. */
export type TestProgram = 'chromium' | 'pgbouncer' | 'nginx' | 'prometheus'

/** A program that comes from the machine: the stack's, and those of the tests. */
export type Program = 'java' | 'mvn' | 'redis-server' | 'postgres' | TestProgram

/** Result of one command: exit code (127 when it does not exist) and everything it printed. */
export interface CommandResult {
  readonly code: number
  readonly output: string
}

/** Runs a command to its end; never rejects. */
export type RunCommand = (file: string, args: readonly string[]) => Promise<CommandResult>

/** What keeps a package's server from starting, and where Debian's PostgreSQL learns to create no cluster. */
export interface InstallFiles {
  readonly policy: string
  readonly clusterConfig: string
}

export interface InstallOptions {
  /** Told before each step, one line each. */
  readonly log: (line: string) => void
  readonly run?: RunCommand
  readonly files?: InstallFiles
}

const debianPackages: Readonly<Record<Program, readonly string[]>> = {
  java: ['openjdk-17-jre-headless', 'openjdk-21-jre-headless'],
  mvn: ['maven'],
  'redis-server': ['redis-server'],
  postgres: ['postgresql'],
  chromium: ['chromium'],
  pgbouncer: ['pgbouncer'],
  nginx: ['nginx'],
  // promtool comes with it.
  prometheus: ['prometheus']
}
const systemFiles: InstallFiles = {
  policy: '/usr/sbin/policy-rc.d',
  clusterConfig: '/etc/postgresql-common/createcluster.conf'
}
const minimumJava = 17

/** The default RunCommand. */
export const runCommand: RunCommand = (file, args) =>
  new Promise((resolve) => {
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    const chunks: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk))
    child.once('error', () => resolve({ code: 127, output: '' }))
    child.once('close', (code) => resolve({ code: code ?? 1, output: Buffer.concat(chunks).toString() }))
  })

/** The programs of the stack, and of `more`, that are missing or too old, in a fixed order. */
export async function missingPrograms(
  run: RunCommand = runCommand,
  more: readonly TestProgram[] = []
): Promise<readonly Program[]> {
  const [java, mvn, redis, postgres] = await Promise.all([
    run('java', ['-version']),
    run('mvn', ['--version']),
    run('redis-server', ['--version']),
    findPostgresBinaries(run)
  ])
  const missing: Program[] = []
  if (java.code !== 0 || javaMajor(java.output) < minimumJava) missing.push('java')
  if (mvn.code !== 0) missing.push('mvn')
  if (redis.code !== 0) missing.push('redis-server')
  if (postgres === undefined) missing.push('postgres')
  for (const program of more)
    if ((await run(program, [program === 'nginx' ? '-v' : '--version'])).code !== 0) missing.push(program)
  return missing
}

/** Major version out of `java -version`; 0 when there is none. `1.8.0` counts as 8. */
export function javaMajor(output: string): number {
  const match = /version "(?:1\.)?(\d+)/.exec(output)
  return Number(match?.[1] ?? 0)
}

/**
 * The folder of `initdb` and `postgres`, `''` when they are in PATH, undefined when there are none. Debian keeps them
 * out of PATH, one folder per version: the newest wins.
 */
export async function findPostgresBinaries(run: RunCommand = runCommand): Promise<string | undefined> {
  const versions = await readdir('/usr/lib/postgresql').catch(() => [])
  for (const version of versions.toSorted((a, b) => Number(b) - Number(a))) {
    const folder = join('/usr/lib/postgresql', version, 'bin')
    if ((await run(join(folder, 'initdb'), ['--version'])).code === 0) return folder
  }
  return (await run('initdb', ['--version'])).code === 0 ? '' : undefined
}

/** Whether this process may install: Debian or one of its children, as root. */
export async function canInstall(uid: number, run: RunCommand = runCommand): Promise<boolean> {
  return uid === 0 && (await run('apt-get', ['--version'])).code === 0
}

/** The one line that a person runs to get the missing programs. */
export function installLine(missing: readonly Program[]): string {
  const packages = missing.map((program) => debianPackages[program][0]).join(' ')
  return `sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages}`
}

/**
 * Installs the Debian packages of `missing`; no server is running or set up afterwards that was not before.
 * Throws PIPE_STACK with the last lines of apt when a step fails.
 */
export async function installPrograms(missing: readonly Program[], options: InstallOptions): Promise<void> {
  const run = options.run ?? runCommand
  const files = options.files ?? systemFiles
  options.log('updating the package lists')
  await must(run, 'apt-get', ['update', '-qq'])
  const packages = await Promise.all(missing.map((program) => offered(run, program)))
  options.log(`installing ${packages.join(' ')}`)
  if (missing.includes('postgres')) await forbidMainCluster(files.clusterConfig)
  const restore = await forbidServiceStarts(files.policy)
  try {
    const apt = ['apt-get', '-qq', 'install', '-y', '--no-install-recommends', '-o', 'Dpkg::Options::=--force-confold']
    await must(run, 'env', ['DEBIAN_FRONTEND=noninteractive', ...apt, ...packages])
  } finally {
    await restore()
  }
}

/** The first package of a program that the distribution has: newer ones have only a newer Java. */
async function offered(run: RunCommand, program: Program): Promise<string> {
  const names = debianPackages[program]
  for (const name of names) if ((await run('apt-cache', ['show', name])).code === 0) return name
  return names[0] ?? program
}

async function must(run: RunCommand, file: string, args: readonly string[]): Promise<void> {
  const { code, output } = await run(file, args)
  if (code === 0) return
  const tail = output.trim().split('\n').slice(-5).join('\n')
  throw new AppError('PIPE_STACK', `${[file, ...args].join(' ')} ended with ${code}:\n${tail}`)
}

/** Debian asks this script before it starts a service; 101 means no. The file as it was before comes back. */
async function forbidServiceStarts(policy: string): Promise<() => Promise<void>> {
  const before = await lstat(policy).catch(() => undefined)
  if (before !== undefined && !before.isFile()) return async () => {}
  const content = before === undefined ? undefined : await readFile(policy)
  await writeFile(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  await chmod(policy, 0o755)
  return async () => {
    if (content === undefined || before === undefined) return rm(policy, { force: true })
    await writeFile(policy, content)
    await chmod(policy, before.mode & 0o777)
  }
}

async function forbidMainCluster(config: string): Promise<void> {
  await mkdir(dirname(config), { recursive: true })
  const exists = await lstat(config).catch(() => undefined)
  if (exists === undefined) await writeFile(config, '# The local stack creates its own.\ncreate_main_cluster = false\n')
}
