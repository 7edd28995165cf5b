// Steps of cases that hurt one of three brokers: who leads, who is in sync, and the death and return of a leader.
import type { Admin, LogSampler } from '@millrace/kafka'
import { brokerNames } from '@millrace/local-stack/part'
import type { BrokerName } from '@millrace/local-stack/part'
import { eventually } from '../eventually.ts'
import type { ThreeBrokers } from '../three-brokers.ts'

export interface Brokers {
  readonly stack: Pick<ThreeBrokers['stack'], 'kill' | 'restart'>
  readonly admin: Pick<Admin, 'describeTopics'>
  readonly sampler: Pick<LogSampler, 'heads'>
  /** A topic with three copies. */
  readonly topic: string
}

/** Resolves when every partition of the topic has its three copies in sync. Throws when it has fewer by declaration. */
export async function allInSync({ admin, topic }: Brokers): Promise<void> {
  await eventually(
    `three copies in sync of ${topic}`,
    async () => {
      const [found] = await admin.describeTopics([topic])
      if (found?.replicationFactor !== 3) throw new Error(`${found?.replicationFactor} copies`)
      return found.inSync === 3
    },
    { timeoutMs: 90_000, intervalMs: 250 }
  )
}

/** A leader that was killed. */
interface KilledLeader {
  readonly name: BrokerName
  /** Starts it again; resolves when all copies are in sync. */
  back(): Promise<void>
}

/** Kills the broker that leads the first partition of the topic; resolves when another one leads it. */
export async function killLeader(brokers: Brokers): Promise<KilledLeader> {
  const { stack } = brokers
  const name = await leaderOf(brokers)
  if (!stack.kill(name, 'SIGKILL')) throw new Error(`${name} does not run`)
  const moved = async (): Promise<boolean> => (await leaderOf(brokers)) !== name
  await eventually('another leader', moved, { timeoutMs: 60_000, intervalMs: 100 })
  return {
    name,
    async back() {
      await stack.restart(name)
      await allInSync(brokers)
    }
  }
}

/** One that is dead leads nothing. */
async function leaderOf({ sampler, topic }: Brokers): Promise<BrokerName> {
  const heads = await sampler.heads((each) => each === topic)
  const leader = heads.find(({ partition }) => partition === 0)?.leader ?? 0
  const name = brokerNames[leader - 1]
  if (name === undefined) throw new Error(`nobody leads ${topic}:0`)
  return name
}
