import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { freePorts } from './listen.ts'

test('ports that are handed out but not bound yet are not handed out again', async () => {
  const all = [...(await freePorts(30)), ...(await freePorts(20)), ...(await freePorts(10))]
  expect(new Set(all).size).toBe(60)
})

test('a port that is taken is passed over, and more than there are is an error', async () => {
  const [taken = 0] = await freePorts(1)
  const server = createServer()
  await new Promise<void>((resolve) => server.listen({ port: taken, host: '127.0.0.1' }, resolve))
  try {
    const rounds = [...(await freePorts(50)), ...(await freePorts(50))]
    expect(rounds).not.toContain(taken)
    await expect(freePorts(100)).rejects.toThrow(/found no 100 free ports between \d+ and \d+/)
  } finally {
    await new Promise((resolve) => server.close(resolve))
  }
})

test('two processes draw from ports of their own', async () => {
  const rounds = Array.from({ length: 4 }, async () => {
    const child = fork(fileURLToPath(new URL('../test/fixture-ports.ts', import.meta.url)))
    onTestFinished(() => void child.kill('SIGKILL'))
    const [ports] = (await once(child, 'message')) as [readonly number[]]
    return ports
  })
  const all = [...(await freePorts(60)), ...(await Promise.all(rounds)).flat()]
  expect(new Set(all).size).toBe(5 * 60)
})
