// Lets the end of a client be its end. By itself the library connects again for whoever still asks through a client that
// was disconnected, be it one of its own retries: connections that nobody closes then keep a process from ending. And a
// consumer that is stopped while its list of brokers changes begins to fetch anew, which gives nothing at once, for ever:
// a loop of promises that lets no timer and no socket of the process have a turn.
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

/** The parts of the library's runner of a consumer (src/consumer/runner.js) that this touches. */
interface Runner {
  readonly running: boolean
  fetch(nodeId: string): Promise<readonly unknown[]>
}

const installed = Symbol.for('millrace.kafkajs-ends')

/**
 * Changes the classes of the library, once per process: a pool that was disconnected connects nothing any more, and a runner
 * that was stopped fetches nothing any more.
 */
export function installEnds(): void {
  const require = createRequire(import.meta.url)
  const pool = (require('kafkajs/src/cluster/brokerPool.js') as { prototype: BrokerPool }).prototype
  const runner = (require('kafkajs/src/consumer/runner.js') as { prototype: Runner }).prototype
  if (installed in pool) return
  endPools(pool)
  endRunners(runner)
}

function endPools(pool: BrokerPool): void {
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

function endRunners(runner: Runner): void {
  const { fetch } = runner
  runner.fetch = async function (this: Runner, nodeId) {
    // Whoever still asks was begun after the stop; only an error ends it.
    if (!this.running) throw new kafkajs.KafkaJSError('the consumer was stopped')
    return await fetch.call(this, nodeId)
  }
}
