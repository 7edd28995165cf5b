// Whether a port is free, and free ports. Both by listening for a moment: nothing else is certain.
import { createServer } from 'node:net'
import { AppError } from '@millrace/kernel'

/** Whether 127.0.0.1:`port` can be listened on now. */
export async function isFree(port: number): Promise<boolean> {
  const held = await hold(port)
  await held?.[Symbol.asyncDispose]()
  return held !== undefined
}

// Below the range that systems take the local ports of outgoing connections from: a part that is killed and started
// again must find its port free.
const firstPort = 20_000
const portsOfSlice = 100
const slices = 120

const own = createOwnSlice()

/**
 * `count` different free ports of this process, each handed out once before any comes again. Throws PIPE_STACK when too
 * few are free.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const [first, last] = await own.bounds()
  const found: number[] = []
  for (let tries = 0; tries < portsOfSlice && found.length < count; tries++) {
    const port = own.next(first)
    if (await isFree(port)) found.push(port)
  }
  if (found.length === count) return found
  throw new AppError('PIPE_STACK', `found no ${count} free ports between ${first} and ${last}`)
}

/**
 * The ports of one slice, in turn. A part binds its port seconds after it was chosen (a Kafka broker the last of all),
 * and until then nothing holds it: two launchers that drew from one range met now and then, and the broker that came
 * second ended during its start. So a slice has one owner: the process that listens on the port before its first, until
 * that process ends.
 */
function createOwnSlice() {
  let claimed: Promise<number> | undefined
  let drawn = 0
  return {
    async bounds(): Promise<readonly [first: number, last: number]> {
      claimed ??= claimSlice()
      const holder = await claimed
      return [holder + 1, holder + portsOfSlice - 1]
    },
    next: (first: number): number => first + (drawn++ % (portsOfSlice - 1))
  }
}

/** The port that holds a slice, which is this process's own from now on. */
async function claimSlice(): Promise<number> {
  // Begins anywhere, so that ports of the process before, whose parts may still be ending, are not the next to be drawn.
  const begin = Math.floor(Math.random() * slices)
  for (let tries = 0; tries < slices; tries++) {
    const port = firstPort + ((begin + tries) % slices) * portsOfSlice
    if ((await hold(port)) !== undefined) return port
  }
  const last = firstPort + slices * portsOfSlice - 1
  throw new AppError('PIPE_STACK', `every slice of the ports between ${firstPort} and ${last} is taken`)
}

/** Listens on the port without keeping the process alive; undefined when it is taken. */
function hold(port: number): Promise<AsyncDisposable | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy()).unref()
    server.once('error', () => resolve(undefined))
    server.listen({ port, host: '127.0.0.1' }, () =>
      resolve({ [Symbol.asyncDispose]: () => new Promise((closed) => server.close(() => closed())) })
    )
  })
}
