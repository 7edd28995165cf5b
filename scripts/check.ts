// `npm run check`: everything a machine can say about the tree without the stack, in under a minute. Independent steps
// run side by side; the output of a step is shown only when it fails.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

interface Step {
  readonly name: string
  readonly command: readonly [string, ...string[]]
}

const root = fileURLToPath(new URL('..', import.meta.url))
const steps: readonly Step[] = [
  { name: 'types', command: ['tsc', '--noEmit'] },
  { name: 'lint', command: ['oxlint', '--type-aware', '--deny-warnings'] },
  { name: 'format', command: ['oxfmt', '--check', '.'] },
  { name: 'house', command: ['node', 'scripts/check-house.ts'] },
  { name: 'unused', command: ['knip', '--no-progress'] },
  { name: 'docs', command: ['node', 'scripts/gen-docs.ts', '--check'] },
  { name: 'unit tests', command: ['vitest', 'run', '--project', 'unit', '--reporter', 'dot'] }
]

async function run(step: Step): Promise<boolean> {
  const started = performance.now()
  const [program, ...args] = step.command
  const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  const output: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
  const code = await new Promise<number>((resolve) => {
    child.on('error', () => resolve(1))
    child.on('close', (exitCode) => resolve(exitCode ?? 1))
  })
  const seconds = ((performance.now() - started) / 1_000).toFixed(1).padStart(5)
  console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${step.name.padEnd(12)} ${seconds} s`)
  if (code !== 0) console.log(Buffer.concat(output).toString())
  return code === 0
}

const results: boolean[] = []
const queue = [...steps]
const workers = Array.from({ length: 2 }, async () => {
  for (let step = queue.shift(); step !== undefined; step = queue.shift()) results.push(await run(step))
})
await Promise.all(workers)
process.exitCode = results.every(Boolean) ? 0 : 1
