// `npm run format`: the formatter decides layout; nobody discusses it.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const result = spawnSync('oxfmt', ['.'], { cwd: fileURLToPath(new URL('..', import.meta.url)), stdio: 'inherit' })
process.exitCode = result.status ?? 1
