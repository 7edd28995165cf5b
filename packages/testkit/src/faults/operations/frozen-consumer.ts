// The alarm with a real clock: a loader freezes, and about five minutes later, not after six, the webhook of ops has the
// alert; thawed, it catches up and the alert is taken back. Eight minutes, so it is a suite of its own.
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { systemClock } from '@millrace/kernel'
import type { FaultCase } from '../fault-case.ts'
import { broken } from '../oracle.ts'
import { openOperationsRig } from './rig.ts'

const everyMs = 1_000
/** Records in a second, over four partitions: their floor of 5,000 is reached in less than a minute. */
const rate = 500
/** A minute until the next record is too old, and 24 samples ten seconds apart, the first of which may fall right after it. */
const [leastMs, mostMs] = [285_000, 360_000]

interface Message {
  readonly status: 'raised' | 'cleared'
  readonly group: string
  readonly topic: string
  readonly text: string
}

export const frozenConsumer: FaultCase = {
  name: 'frozen-consumer',
  title: 'a loader frozen for six minutes under load; the alert of ops by its webhook',
  counters: ['record written', 'alert raised', 'alert cleared'],
  async run(context) {
    const { counters, say, signal } = context
    await using receiver = await openReceiver()
    await using rig = await openOperationsRig(context, {
      only: ['loader', 'ops'],
      env: {
        ALERT_WEBHOOK_URL: receiver.url,
        ALERT_WEBHOOK_PRIVATE: '127.0.0.0/8',
        MONITOR_GROUPS: 'load',
        AGGREGATOR_GROUP: '-',
        ARCHIVER_GROUP: '-'
      }
    })
    const stop = new AbortController()
    const writing = (async () => {
      while (!stop.signal.aborted && !signal.aborted) {
        counters.count('record written', (await rig.write(rate)).length)
        await systemClock.sleep(everyMs)
      }
    })()
    await rig.caughtUp(['load'])
    const own = (status: Message['status']): Message | undefined =>
      receiver.messages.find((each) => each.status === status && each.topic === rig.topic)
    const early = own('raised')
    say('the loader freezes')
    rig.service('loader').kill('SIGSTOP')
    const frozenMs = systemClock.monotonic()
    const raised = await arrived(() => own('raised'), mostMs + 60_000, signal)
    const afterMs = systemClock.monotonic() - frozenMs
    if (raised !== undefined) counters.count('alert raised')
    say(`${raised?.text ?? 'no alert'} after ${Math.round(afterMs / 1_000)} s`)
    rig.service('loader').kill('SIGCONT')
    stop.abort()
    await writing
    await rig.caughtUp(['load'], 240_000)
    await arrived(() => own('cleared'), 150_000, signal)
    if (own('cleared') !== undefined) counters.count('alert cleared')
    const isInTime = afterMs >= leastMs && afterMs <= mostMs
    return rig.verdict(
      [
        ...broken('INV-7', 'an alert before anything froze', early === undefined ? [] : [early.text]),
        ...broken('INV-7', 'the alert came early or late', isInTime ? [] : [`${Math.round(afterMs / 1_000)} s`])
      ],
      []
    )
  }
}

/** What `found` says as soon as it says something; undefined after `timeoutMs`, or when the run is given up. */
async function arrived<T>(found: () => T | undefined, timeoutMs: number, signal: AbortSignal): Promise<T | undefined> {
  const endMs = systemClock.monotonic() + timeoutMs
  while (found() === undefined && systemClock.monotonic() < endMs && !signal.aborted)
    await systemClock.sleep(500, signal).catch(() => {})
  return found()
}

/** A webhook that remembers. */
async function openReceiver(): Promise<
  AsyncDisposable & { readonly url: string; readonly messages: readonly Message[] }
> {
  const messages: Message[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      messages.push(JSON.parse(Buffer.concat(chunks).toString()) as Message)
      response.writeHead(204).end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/alerts`,
    messages,
    async [Symbol.asyncDispose]() {
      server.close()
      await once(server, 'close')
    }
  }
}
