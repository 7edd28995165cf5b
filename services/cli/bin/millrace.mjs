#!/usr/bin/env node
// The command line tool: runs ../src/main.ts, which is TypeScript, under the pinned Node. Plain JavaScript on purpose,
// since any Node may start it.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const manifest = join(root, 'node_modules/node/package.json')

if (!existsSync(manifest)) {
  process.stderr.write(
    'millrace: the dependencies are not installed; run `npm run setup` at the root of the repository\n'
  )
  process.exit(1)
}
const pinned = JSON.parse(readFileSync(manifest, 'utf8')).version
if (process.versions.node === pinned) {
  // oxlint-disable-next-line no-restricted-imports -- this file is how main.ts is run
  await import('../src/main.ts')
} else {
  const bin = join(root, 'node_modules/.bin')
  const child = spawn(join(bin, 'node'), [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}`, MILLRACE_PARENT_PID: String(process.pid) }
  })
  // The child stops in its own order and this process waits for it. Signals are handed on; of a Ctrl-C, which reaches
  // both, the child gets two at the same moment and takes them for one.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => child.kill(name))
  child.on('error', (error) => {
    process.stderr.write(`millrace: could not start the pinned Node: ${error.message}; run \`npm run setup\`\n`)
    process.exit(1)
  })
  child.on('exit', (code) => process.exit(code ?? 1))
}
