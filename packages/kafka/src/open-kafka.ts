// Opens Kafka over the library: the one place that puts the driver together.
import type { Admin as KafkaJSAdmin } from 'kafkajs'
import { systemClock } from '@millrace/kernel'
import type { Clock } from '@millrace/kernel'
import type { Logger } from '@millrace/observability'
import { within } from './bounded.ts'
import { openAdmin } from './kafkajs-admin.ts'
import { createClient } from './kafkajs-client.ts'
import type { KafkaSettings } from './kafkajs-client.ts'
import { toAppError } from './kafkajs-errors.ts'
import { startMember } from './kafkajs-member.ts'
import { openProducer } from './kafkajs-producer.ts'
import { openSampler } from './kafkajs-sampler.ts'
import type { GroupMember, Kafka } from './port.ts'
import { createTopicLeaders, guardNull } from './topic-leaders.ts'

export interface OpenKafkaDeps {
  readonly log: Logger
  /** Shown in the broker's logs; KAFKA_CLIENT_ID when absent. */
  readonly clientId?: string
  readonly clock?: Clock
}

/**
 * Kafka as `settings` name it. Nothing is connected before it is used. Disposing it stops members that were not stopped
 * and closes producers and admin clients that were not disposed.
 */
export async function openKafka(settings: KafkaSettings, deps: OpenKafkaDeps): Promise<Kafka> {
  const { log, clock = systemClock, clientId = settings.KAFKA_CLIENT_ID } = deps
  const newClient = () => createClient({ settings, clientId, log })
  await using opening = new AsyncDisposableStack()
  const metadata = opening.use(createSharedAdmin(newClient, clock))
  const leaders = createTopicLeaders(metadata.admin, clock)
  const listTopics = async (): Promise<readonly string[]> => {
    try {
      return await guardNull((await metadata.admin()).listTopics())
    } catch (error) {
      throw toAppError(error, 'listing topics')
    }
  }
  const stack = opening.move()
  return {
    producer: async (options) =>
      stack.use(await openProducer({ createClient: newClient, leaders, clock, log }, options)),
    admin: async () => stack.use(await openAdmin(newClient, clock)),
    sampler: async () => stack.use(await openSampler(newClient, clock)),
    consumers: {
      async join(options, handlers) {
        const member = startMember(options, handlers, { createClient: newClient, listTopics, clock, log })
        stack.adopt(member, (joined: GroupMember) => joined.stop())
        return member
      }
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync()
  }
}

interface SharedAdmin extends AsyncDisposable {
  /** The library's admin client, connected; a failed connection is tried anew by the next call. */
  readonly admin: () => Promise<KafkaJSAdmin>
}

/** One lazily connected admin client for metadata. It names no topics of its own, so deleted ones cannot poison it. */
function createSharedAdmin(newClient: () => ReturnType<typeof createClient>, clock: Clock): SharedAdmin {
  let current: Promise<KafkaJSAdmin> | undefined
  return {
    admin() {
      if (current === undefined) {
        const admin = newClient().admin()
        current = admin.connect().then(() => admin)
        current.catch(() => {
          current = undefined
          // What it has connected already would stay, one more with each attempt.
          admin.disconnect().catch(() => undefined)
        })
      }
      return current
    },
    async [Symbol.asyncDispose]() {
      const closing = current?.then((admin) => admin.disconnect()).catch(() => undefined)
      if (closing !== undefined) await within(closing, 5_000, clock)
    }
  }
}
