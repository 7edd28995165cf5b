// A run with data of its own: two stand-in services and a child, their pids on one line, and work that fails when the
// child is gone.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { endOnStop } from '@millrace/local-stack/end-on-stop'
import { startServices } from '@millrace/local-stack/supervisor'

const folder = process.argv[2] ?? ''
const log = (line: string): void => console.log(line)
using _stop = endOnStop({ folder, dataDir: join(folder, 'stack'), log, env: process.env })
const running = await startServices({
  endpoints: {},
  pepper: 'p',
  folder,
  ports: 'ephemeral',
  only: ['gateway', 'loader'],
  entry: () => 'infra/local/test/fixture-service.ts'
})
const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1_000)'], { stdio: 'ignore' })
console.log([child.pid, ...running.all.map(({ pid }) => pid)].join(' '))
await once(child, 'exit')
throw new Error('the child is gone')
