// Whether a port is free, and free ports. Both by listening for a moment: nothing else is certain.
import { createServer } from 'node:net'
import { AppError } from '@millrace/kernel'

/** Whether 127.0.0.1:`port` can be listened on now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1' }, () => server.close(() => resolve(true)))
  })
}

// Below the range that systems take the local ports of outgoing connections from: a part that is killed and started
// again must find its port free.
const firstPort = 20_000
const portCount = 12_000

/** `count` different free ports; `random` returns [0, 1). Throws PIPE_STACK when the machine has none. */
export async function freePorts(count: number, random: () => number = Math.random): Promise<readonly number[]> {
  const found = new Set<number>()
  for (let tries = 0; tries < 1_000; tries++) {
    if (found.size === count) return [...found]
    const port = firstPort + Math.floor(random() * portCount)
    if (!found.has(port) && (await isFree(port))) found.add(port)
  }
  throw new AppError('PIPE_STACK', `found no ${count} free ports between ${firstPort} and ${firstPort + portCount}`)
}
