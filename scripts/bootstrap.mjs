#!/usr/bin/env node
// Runs on the Node that the machine has (20 or newer): brings pnpm at its pinned version, installs the locked
// dependencies when they changed, and hands over to the task under the pinned Node. Plain JavaScript on purpose:
// nothing of the workspace exists yet when it starts.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const tasks = {
  setup: ['scripts/setup.ts'],
  start: ['services/cli/bin/millrace.mjs', 'start'],
  test: ['scripts/test.ts'],
  check: ['scripts/check.ts'],
  format: ['scripts/format.ts'],
  docs: ['scripts/gen-docs.ts'],
  bench: ['bench/src/main.ts'],
  'test:faults': ['scripts/test-faults.ts']
}

/** Ends the process with one line that says what to do. */
function fail(message) {
  process.stderr.write(`millrace: ${message}\n`)
  process.exit(1)
}

/** Runs a command with the terminal attached; the exit code, or 1 when a signal ended it. */
function run(command, args, env = process.env) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', env })
  if (result.error) fail(`could not run ${command}: ${result.error.message}`)
  return result.status ?? 1
}

/** The native pnpm of the version that package.json pins, installed once under .millrace/tools. */
function pnpm() {
  const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).packageManager.replace('pnpm@', '')
  const home = join(root, '.millrace', 'tools', `pnpm-${version}`)
  const binary = join(home, 'node_modules', '.bin', 'pnpm')
  if (!existsSync(binary)) {
    process.stderr.write(`millrace: getting pnpm ${version}\n`)
    mkdirSync(home, { recursive: true })
    const code = run('npm', [
      'install',
      '--prefix',
      home,
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
      `pnpm@${version}`
    ])
    if (code !== 0) {
      rmSync(home, { recursive: true, force: true })
      fail('npm could not install pnpm; check the network and the npm registry, then repeat the command')
    }
  }
  return binary
}

/** The parent of a process where the system tells it in /proc, else nothing. */
function parentOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]
  } catch {
    return ''
  }
}

/** A digest of everything an install depends on. */
function lockDigest() {
  const hash = createHash('sha256')
  const files = ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json']
  for (const room of ['packages', 'services', 'infra', 'patches']) {
    for (const name of existsSync(join(root, room)) ? readdirSync(join(root, room)).sort() : []) {
      files.push(room === 'patches' ? join(room, name) : join(room, name, 'package.json'))
    }
  }
  for (const file of files) if (existsSync(join(root, file))) hash.update(file).update(readFileSync(join(root, file)))
  return hash.digest('hex')
}

/** Installs with the frozen lockfile unless the last install was of the same lockfile. */
function install() {
  const stamp = join(root, 'node_modules', '.millrace-install')
  const digest = lockDigest()
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return
  process.stderr.write('millrace: installing dependencies (first time, or the lockfile changed)\n')
  const code = run(pnpm(), ['install', '--frozen-lockfile', '--config.engine-strict=false', '--reporter=append-only'])
  if (code !== 0) fail('pnpm could not install the dependencies; the lines above say why')
  writeFileSync(stamp, digest)
}

if (Number(process.versions.node.split('.')[0]) < 20)
  fail(`Node 20 or newer is needed, this is ${process.versions.node}`)
const [task, ...rest] = process.argv.slice(2)
const entry = tasks[task]
if (entry === undefined) fail(`unknown task '${task ?? ''}'; one of ${Object.keys(tasks).join(', ')}`)
install()
const bin = join(root, 'node_modules', '.bin')
const child = spawn(join(bin, 'node'), [...entry, ...rest], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, PATH: `${bin}:${process.env.PATH}`, MILLRACE_PARENT_PID: String(process.pid) }
})
// Ctrl-C reaches the whole process group: the task stops in its own order and this process waits for it. A signal to
// this process alone is handed on; a task that starts a stack takes two at the same moment for one.
const startsStack = ['start', 'test', 'test:faults', 'bench'].includes(task)
process.on('SIGINT', () => startsStack && child.kill('SIGINT'))
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
// A killed npm hands nothing on: its end is noticed here, as these tasks notice the end of this process. npm is the
// parent, or behind the shell that is.
const callers = () => `${process.ppid} ${parentOf(process.ppid)}`
const before = callers()
if (startsStack && process.env.npm_lifecycle_event !== undefined) {
  const watch = setInterval(() => {
    if (callers() === before) return
    clearInterval(watch)
    child.kill('SIGTERM')
  }, 1_000)
  watch.unref()
}
child.on('error', (error) => fail(`could not start the pinned Node: ${error.message}; remove node_modules and repeat`))
child.on('exit', (code) => process.exit(code ?? 1))
