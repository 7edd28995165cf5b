// Three real brokers behind a proxy each, for tests that hurt them.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts } from '@millrace/local-stack/listen'
import { brokerNames } from '@millrace/local-stack/part'
import { portNamesOf } from '@millrace/local-stack/ports'
import { startStack } from '@millrace/local-stack/stack'
import type { Stack } from '@millrace/local-stack/stack'
import { openTcpProxy } from './faults/tcp-proxy.ts'
import type { TcpProxy } from './faults/tcp-proxy.ts'

export interface ThreeBrokers extends AsyncDisposable {
  readonly stack: Stack
  /** Addresses of the proxies, comma-separated; clients and brokers reach the brokers through them only. */
  readonly brokers: string
  /** The proxy of the broker with this node id, 1 to 3. */
  proxy(broker: number): TcpProxy
}

/** Starts a stack of its own in a temporary folder and ends and removes it when disposed. */
export async function openThreeBrokers(): Promise<ThreeBrokers> {
  await using opening = new AsyncDisposableStack()
  const dataDir = await mkdtemp(join(tmpdir(), 'three-brokers-'))
  opening.defer(() => rm(dataDir, { recursive: true, force: true }))
  const ports = await freePorts(brokerNames.length)
  const proxies: TcpProxy[] = []
  for (const port of ports) {
    proxies.push(opening.use(await openTcpProxy({ target: { host: '127.0.0.1', port } })))
  }
  const own = Object.fromEntries(brokerNames.map((name, index) => [name, ports[index]]))
  const stack = opening.use(
    await startStack({
      dataDir,
      brokers: 3,
      ports: { ...Object.fromEntries(portNamesOf(3).map((name) => [name, 0])), ...own },
      advertisedPorts: proxies.map(({ port }) => port)
    })
  )
  const all = opening.move()
  return {
    stack,
    brokers: proxies.map(({ host, port }) => `${host}:${port}`).join(','),
    proxy(broker) {
      const proxy = proxies[broker - 1]
      if (proxy === undefined) throw new Error(`no broker ${broker}`)
      return proxy
    },
    [Symbol.asyncDispose]: () => all.disposeAsync()
  }
}
