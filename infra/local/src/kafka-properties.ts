// The broker's settings as text. One combined broker and controller per node; with several nodes each is both.

/** One node of the cluster; a node serves as broker and as controller. */
export interface KafkaNode {
  readonly id: number
  readonly port: number
  readonly controllerPort: number
  /** The port that clients and brokers are told; `port` when absent. A proxy in between has its own. */
  readonly advertisedPort?: number | undefined
}

export interface KafkaPropertiesOptions {
  /** The node that these settings are for; one of `nodes`. */
  readonly node: KafkaNode
  readonly nodes: readonly KafkaNode[]
  readonly dataFolder: string
}

/** A dead letter carries the largest record plus headers: topics may go up to 2 MiB, and replication with them. */
const maxRecordBytes = 2_162_688

/**
 * The text of server.properties. Durability as far as the number of nodes allows: three copies with two in sync from
 * three nodes on, one copy otherwise. A single node survives the end of its process, not of the machine.
 */
export function kafkaProperties({ node, nodes, dataFolder }: KafkaPropertiesOptions): string {
  const copies = Math.min(3, nodes.length)
  const inSync = Math.max(1, copies - 1)
  const settings: Record<string, string | number | boolean> = {
    'process.roles': 'broker,controller',
    'node.id': node.id,
    'controller.quorum.voters': nodes.map((each) => `${each.id}@127.0.0.1:${each.controllerPort}`).join(','),
    listeners: `PLAINTEXT://127.0.0.1:${node.port},CONTROLLER://127.0.0.1:${node.controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${node.advertisedPort ?? node.port}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
    'log.dirs': dataFolder,
    'auto.create.topics.enable': false,
    'unclean.leader.election.enable': false,
    'default.replication.factor': copies,
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': copies,
    'offsets.topic.num.partitions': 10,
    'offsets.retention.minutes': 43_200,
    'transaction.state.log.replication.factor': copies,
    'transaction.state.log.min.isr': inSync,
    'transaction.state.log.num.partitions': 4,
    'share.coordinator.state.topic.replication.factor': copies,
    'share.coordinator.state.topic.min.isr': inSync,
    'group.initial.rebalance.delay.ms': 0,
    // A broker that was killed may register again only when its last session is over.
    'broker.session.timeout.ms': 4_000,
    'broker.heartbeat.interval.ms': 1_000,
    'log.message.timestamp.type': 'LogAppendTime',
    'message.max.bytes': maxRecordBytes,
    'replica.fetch.max.bytes': 2 * maxRecordBytes,
    // The defaults are sized for a machine of its own; the heap here is 512 MB at most.
    'log.cleaner.dedupe.buffer.size': 16_777_216,
    'num.network.threads': 2,
    'num.io.threads': 4
  }
  return Object.entries(settings)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('')
}
