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
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}` }
  })
  // Ctrl-C reaches the child by itself: this process waits for its orderly end. SIGTERM is handed on.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  child.on('error', (error) => {
    process.stderr.write(`millrace: could not start the pinned Node: ${error.message}; run \`npm run setup\`\n`)
    process.exit(1)
  })
  child.on('exit', (code) => process.exit(code ?? 1))
}
