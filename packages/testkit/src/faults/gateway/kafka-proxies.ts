// Fault proxies before the brokers of a cluster: clients that start with them stay behind them, since the addresses in
// the brokers' answers are replaced on the way.
import { openTcpProxy } from '../tcp-proxy.ts'
import type { TcpProxy } from '../tcp-proxy.ts'

export interface KafkaProxies extends AsyncDisposable {
  /** KAFKA_BROKERS of a client behind the proxies. */
  readonly brokers: string
  readonly proxies: readonly TcpProxy[]
}

/** One proxy for each broker of `brokers` (`host:port`, comma-separated; all on 127.0.0.1). */
export async function openKafkaProxies(brokers: string): Promise<KafkaProxies> {
  await using opening = new AsyncDisposableStack()
  const ports = brokers.split(',').map((address) => Number(address.split(':')[1]))
  const replacements: { readonly from: Buffer; readonly to: Buffer }[] = []
  const rewriteDown = (chunk: Buffer): Buffer =>
    replacements.reduce((bytes, { from, to }) => replaceAll(bytes, from, to), chunk)
  const proxies: TcpProxy[] = []
  for (const port of ports) {
    const proxy = opening.use(await openTcpProxy({ target: { host: '127.0.0.1', port }, rewriteDown }))
    replacements.push({ from: addressBytes(port), to: addressBytes(proxy.port) })
    proxies.push(proxy)
  }
  const opened = opening.move()
  return {
    brokers: proxies.map(({ host, port }) => `${host}:${port}`).join(','),
    proxies,
    [Symbol.asyncDispose]: () => opened.disposeAsync()
  }
}

/** A broker's address as metadata answers have it: the text of the host, then the port in four bytes. */
function addressBytes(port: number): Buffer {
  const bytes = Buffer.from('127.0.0.1\0\0\0\0')
  bytes.writeInt32BE(port, bytes.length - 4)
  return bytes
}

/** `bytes` with each `from` replaced by `to` of the same length; a copy only where something is replaced. */
function replaceAll(bytes: Buffer, from: Buffer, to: Buffer): Buffer {
  let at = bytes.indexOf(from)
  if (at < 0) return bytes
  const copy = Buffer.from(bytes)
  for (; at >= 0; at = copy.indexOf(from, at + to.length)) to.copy(copy, at)
  return copy
}
