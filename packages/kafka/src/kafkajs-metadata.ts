// Keeps the library from waiting for metadata that it has. By itself it renews metadata every `metadataMaxAge` in the way
// of whoever sends next, by one broker at random: one that is frozen then holds up the records for all the others.
import { createRequire } from 'node:module'
import { systemClock } from '@millrace/kernel'

/** The parts of the library's broker pool (src/cluster/brokerPool.js) that this touches. */
interface BrokerPool {
  readonly metadata: { readonly topicMetadata: readonly { readonly topic: string }[] } | null
  readonly metadataExpireAt: number | null
  refreshMetadata(topics: readonly string[]): Promise<void>
  refreshMetadataIfNecessary(topics: readonly string[]): Promise<void>
}

/** The parts of its cluster (src/cluster/index.js). */
interface Cluster {
  readonly targetTopics: ReadonlySet<string>
  readonly brokerPool: Pick<BrokerPool, 'metadata'>
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>
}

const installed = Symbol.for('millrace.kafkajs-metadata')

/**
 * Changes the classes of the library, once per process. Old metadata is used and renewed behind; a topic that is known
 * takes no lock. Nothing changes for unknown topics, after a lost connection, and for who asks for fresh metadata.
 */
export function installMetadataBehind(): void {
  const require = createRequire(import.meta.url)
  const pool = (require('kafkajs/src/cluster/brokerPool.js') as { prototype: BrokerPool }).prototype
  const cluster = (require('kafkajs/src/cluster/index.js') as { prototype: Cluster }).prototype
  if (installed in pool) return
  Object.defineProperty(pool, installed, { value: true })
  const { refreshMetadataIfNecessary } = pool
  const { addMultipleTargetTopics } = cluster
  const renewing = new WeakSet<BrokerPool>()
  pool.refreshMetadataIfNecessary = function (this: BrokerPool, topics) {
    const { metadata, metadataExpireAt } = this
    const known =
      metadata !== null &&
      metadataExpireAt !== null &&
      topics.every((topic) => metadata.topicMetadata.some((each) => each.topic === topic))
    if (!known) return refreshMetadataIfNecessary.call(this, topics)
    if (systemClock.now() > metadataExpireAt && !renewing.has(this)) {
      renewing.add(this)
      const done = (): void => void renewing.delete(this)
      this.refreshMetadata(topics).then(done, done)
    }
    return Promise.resolve()
  }
  cluster.addMultipleTargetTopics = function (this: Cluster, topics) {
    if (this.brokerPool.metadata && topics.every((topic) => this.targetTopics.has(topic))) return Promise.resolve()
    return addMultipleTargetTopics.call(this, topics)
  }
}
