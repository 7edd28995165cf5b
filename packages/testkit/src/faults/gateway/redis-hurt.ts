// Redis freezes, dies, forgets everything and is full, under load. Events are taken all the same; copies may come of it.
import { once } from 'node:events'
import { connect } from 'node:net'
import { systemClock } from '@millrace/kernel'
import type { CaseContext, FaultCase } from '../fault-case.ts'
import { complain, openRig } from './rig.ts'
import type { Rig } from './rig.ts'

const hurtMs = 4_000
/** Redis answers again before this, and the gateway has tried it. */
const calmMs = 2_500

export const redisHurt: FaultCase = {
  name: 'redis-hurt',
  title: 'Redis frozen, killed, flushed and full, 4 s each, under load',
  counters: ['frozen', 'killed', 'flushed', 'full', 'unchecked accept', 'repeat recognised'],
  async run(context) {
    const { counters, stack } = context
    await using rig = await openRig(context, { load: { repeatShare: 0.3 } })
    await hurt(rig, context)
    const verdict = await rig.judge({
      allowance: { lostMarks: true },
      further: (ledger) =>
        complain(
          'progress',
          'turned away although Kafka was well',
          ledger.filter(
            ({ kind, end, status, code }) =>
              kind !== 'bad' && (end !== 'answered' || (status >= 500 && code !== 'in_progress'))
          )
        )
    })
    await redis(stack.part('redis-dedup').port, 'CONFIG', 'SET', 'maxmemory', '512mb')
    counters.count('unchecked accept', verdict.figures.unchecked)
    counters.count('repeat recognised', rig.traffic.load.counts().duplicates)
    return verdict
  }
}

async function hurt(rig: Rig, { counters, stack, say }: CaseContext): Promise<void> {
  const { port } = stack.part('redis-dedup')
  const calm = async (): Promise<void> => {
    rig.over()
    await systemClock.sleep(calmMs)
    await rig.traffic.moves(200)
  }
  await rig.traffic.moves(500)
  say('Redis freezes')
  if (stack.kill('redis-dedup', 'SIGSTOP')) counters.count('frozen')
  await systemClock.sleep(hurtMs)
  stack.kill('redis-dedup', 'SIGCONT')
  await calm()
  say('Redis dies')
  if (stack.kill('redis-dedup', 'SIGKILL')) counters.count('killed')
  await systemClock.sleep(hurtMs)
  await stack.restart('redis-dedup')
  await calm()
  say('Redis forgets')
  if ((await redis(port, 'FLUSHALL')) === '+OK') counters.count('flushed')
  await calm()
  say('Redis is full')
  if ((await redis(port, 'CONFIG', 'SET', 'maxmemory', '1mb')) === '+OK') counters.count('full')
  await systemClock.sleep(hurtMs)
  await redis(port, 'CONFIG', 'SET', 'maxmemory', '512mb')
  await calm()
}

/** Sends one command and returns the first line of the reply. */
async function redis(port: number, ...command: readonly string[]): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port })
  try {
    const parts = command.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`)
    socket.write(`*${parts.length}\r\n${parts.join('')}`)
    const [reply] = (await once(socket, 'data')) as [Buffer]
    return reply.toString().split('\r\n', 1)[0] ?? ''
  } finally {
    socket.destroy()
  }
}
