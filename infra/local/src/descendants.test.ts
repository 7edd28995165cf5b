import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { descendantsOf } from './descendants.ts'

test.runIf(process.platform === 'linux')(
  'children and their children are found, in groups of their own too',
  async () => {
    const script = `const { spawn } = require('node:child_process')
    const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
    child.once('spawn', () => console.log(child.pid))
    process.stdin.on('end', () => child.kill('SIGKILL')).resume()`
    const parent = spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'pipe', 'ignore'] })
    const [line] = (await once(parent.stdout, 'data')) as [Buffer]
    const found = descendantsOf(process.pid)
    const grandchild = Number(line.toString().trim())
    expect(found.filter((pid) => pid === parent.pid || pid === grandchild)).toEqual([parent.pid, grandchild])
    expect(descendantsOf(grandchild)).toEqual([])
    parent.stdin.end()
    await once(parent, 'exit')
  }
)
