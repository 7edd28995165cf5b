// Processes of one group on the real broker, what they handled, and what the group committed.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Admin } from '@millrace/kafka'
import { testEndpoints } from '@millrace/testkit/endpoints'
import type { MemberArguments } from './fixture-member.ts'

export interface GroupMember {
  readonly pid: number
  signal(name: NodeJS.Signals): void
  /** Exit code or signal. */
  readonly exited: Promise<number | NodeJS.Signals>
}

export interface Group extends AsyncDisposable {
  /** Starts one process; resolves when it holds partitions. */
  start(): Promise<GroupMember>
  /** Everything that any process handled: `topic:partition:offset`, with how often. */
  handled(): Promise<ReadonlyMap<string, number>>
  /** Records before a committed offset that nobody had handled when the commit was read, except `excused`. */
  overtaken(excused: ReadonlySet<string>): Promise<readonly string[]>
}

/** A group of member processes; disposing it kills those that are left. */
export async function openGroup(admin: Admin, options: Omit<MemberArguments, 'brokers' | 'ledger'>): Promise<Group> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-group-'))
  const ledgers: string[] = []
  const running = new Set<GroupMember>()
  const handled = async (): Promise<Map<string, number>> => {
    const counts = new Map<string, number>()
    for (const ledger of ledgers) {
      const text = await readFile(ledger, 'utf8').catch(() => '')
      // A killed process may leave half a line, which is no effect.
      for (const place of text.slice(0, text.lastIndexOf('\n') + 1).split('\n'))
        if (place !== '') counts.set(place, (counts.get(place) ?? 0) + 1)
    }
    return counts
  }
  return {
    handled,
    async start() {
      const ledger = join(folder, `member-${ledgers.length}`)
      ledgers.push(ledger)
      const args: MemberArguments = { ...options, brokers: testEndpoints().KAFKA_BROKERS, ledger }
      const script = fileURLToPath(new URL('fixture-member.ts', import.meta.url))
      const child = spawn(process.execPath, [script, JSON.stringify(args)], { stdio: ['ignore', 'pipe', 'inherit'] })
      const exited = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals)
      const { pid } = child
      if (pid === undefined) throw new Error('the member did not start')
      const member: GroupMember = { pid, exited, signal: (name) => void child.kill(name) }
      running.add(member)
      void exited.then(() => running.delete(member))
      const lines = createInterface({ input: child.stdout })
      await Promise.race([
        once(lines, 'line'),
        exited.then((how) => Promise.reject(new Error(`member exited: ${how}`)))
      ])
      return member
    },
    async overtaken(excused) {
      const topics = (await admin.listTopics()).filter((topic) => topic.startsWith(options.prefix))
      const commits = await Promise.all(
        topics.map(async (topic) => ({ topic, offsets: await admin.groupOffsets(options.group, topic) }))
      )
      // Read after the commits: what they cover must be there.
      const done = await handled()
      const missing: string[] = []
      for (const { topic, offsets } of commits) {
        for (const [partition, end] of offsets) {
          for (let offset = 0n; offset < end; offset++) {
            const place = `${topic}:${partition}:${offset}`
            if (!done.has(place) && !excused.has(place)) missing.push(place)
          }
        }
      }
      return missing
    },
    async [Symbol.asyncDispose]() {
      for (const member of running) {
        member.signal('SIGCONT')
        member.signal('SIGKILL')
      }
      await Promise.all([...running].map(({ exited }) => exited))
      await rm(folder, { recursive: true, force: true })
    }
  }
}
