// Lets the end of a client be its end. By itself the library connects again for whoever still asks through a client that
// was disconnected, be it one of its own retries: connections that nobody closes then keep a process from ending.
import { createRequire } from 'node:module'
import kafkajs from 'kafkajs'

interface Broker {
  disconnect(): Promise<void>
}

/** The parts of the library's broker pool (src/cluster/brokerPool.js) that this touches. */
interface BrokerPool {
  readonly seedBroker: Broker | undefined
  connect(): Promise<void>
  connectBroker(broker: Broker): Promise<void>
  disconnect(): Promise<void>
}

const installed = Symbol.for('millrace.kafkajs-ends')

/** Changes the class of the library, once per process: a pool that was disconnected connects nothing any more. */
export function installEnds(): void {
  const require = createRequire(import.meta.url)
  const pool = (require('kafkajs/src/cluster/brokerPool.js') as { prototype: BrokerPool }).prototype
  if (installed in pool) return
  Object.defineProperty(pool, installed, { value: true })
  const { connect, connectBroker, disconnect } = pool
  const ended = new WeakSet<BrokerPool>()
  const refuse = (one: BrokerPool): void => {
    if (!ended.has(one)) return
    // Nothing is to be gained by trying again.
    throw Object.assign(new kafkajs.KafkaJSConnectionError('the client was disconnected'), { retriable: false })
  }
  /** What was under way when the end came is closed behind it. */
  const unlessEnded = async (one: BrokerPool, broker: () => Broker | undefined): Promise<void> => {
    if (ended.has(one)) await broker()?.disconnect()
    refuse(one)
  }
  pool.connect = async function (this: BrokerPool) {
    refuse(this)
    await connect.call(this)
    await unlessEnded(this, () => this.seedBroker)
  }
  pool.connectBroker = async function (this: BrokerPool, broker) {
    refuse(this)
    await connectBroker.call(this, broker)
    await unlessEnded(this, () => broker)
  }
  pool.disconnect = async function (this: BrokerPool) {
    ended.add(this)
    await disconnect.call(this)
  }
}
