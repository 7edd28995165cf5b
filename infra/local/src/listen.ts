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
const portsOfProcess = 100
const slices = 120

// A part binds its ports seconds after they were chosen (a Kafka broker the last of all). Until then nothing holds
// them: two launchers that drew from one range met now and then, and the broker that came second ended during its
// start. So each process hands out ports of a slice of its own, and each once before any comes again.
const ownSlice = firstPort + (process.pid % slices) * portsOfProcess
let handedOut = Math.floor(Math.random() * portsOfProcess)

/** `count` different free ports, none of them handed out shortly before. Throws PIPE_STACK when too few are free. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const found: number[] = []
  for (let tries = 0; tries <= portsOfProcess; tries++) {
    if (found.length === count) return found
    const port = ownSlice + (handedOut++ % portsOfProcess)
    if (await isFree(port)) found.push(port)
  }
  throw new AppError('PIPE_STACK', `found no ${count} free ports between ${ownSlice} and ${ownSlice + portsOfProcess}`)
}
