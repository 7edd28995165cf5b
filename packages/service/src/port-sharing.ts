// How the workers of a service share its port: each has a socket of its own there, and the kernel spreads connections over
// them (docs/adr/0010). Where it does not, they listen through the primary.
import { once } from 'node:events'
import { createServer } from 'node:net'

/** Linux spreads connections over the sockets of a port; others give them to one socket, or refuse the second. */
export const sharesPort = process.platform === 'linux'

interface Address {
  readonly port: number
  readonly host: string
}

/** What a process listens with. `exclusive` keeps the cluster module from listening in its place. */
export function listenAs(address: Address, isWorker: boolean): Address {
  const shared = { ...address, exclusive: true, reusePort: true }
  return isWorker && sharesPort ? shared : address
}

/** Throws when somebody listens there already: workers would share the port with them, and nobody would notice. */
export async function claimPort({ port, host }: Address): Promise<void> {
  if (port === 0) return
  const server = createServer()
  server.listen({ port, host, exclusive: true })
  await once(server, 'listening')
  server.close()
  await once(server, 'close')
}
