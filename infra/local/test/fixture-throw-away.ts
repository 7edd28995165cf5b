// A run with data of its own: two stand-in services and a child, their pids on one line, and work that fails when the
// child is gone.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { endOnStop } from '@millrace/local-stack/end-on-stop'
import { startServices } from '@millrace/local-stack/supervisor'

const folder = process.argv[2] ?? ''
const log = (line: string): void => console.log(line)
// What is to be removed, if it is not the folder.
const removed = process.argv[3] ?? folder
using _stop = endOnStop({ folder: removed, dataDir: join(folder, 'stack'), log, env: process.env })
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
// A run has connections of its own, too: it does not end for want of work.
setInterval(() => {}, 1_000)
await once(child, 'exit')
throw new Error('the child is gone')
