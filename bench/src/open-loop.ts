// Open-loop HTTP load: requests leave at their times whether or not earlier ones were answered, and latency counts from
// the time a request should have left, so a stall is felt by all that were due in it.
import { Agent, request } from 'node:http'
import { systemClock } from '@millrace/kernel'
import { quantile } from './statistics.ts'

export interface OpenLoad {
  readonly url: string
  /** POST when absent; a GET sends its bodies' number of requests, and none of their bytes. */
  readonly method?: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly bodies: readonly Buffer[]
  readonly perSecond: number
  readonly expectedStatus: number
}

export interface OpenResult {
  readonly answered: number
  readonly failures: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
}

/** Sends all bodies at a fixed rate and waits for their answers. */
export async function driveOpen(load: OpenLoad): Promise<OpenResult> {
  const { url, method = 'POST', headers, bodies, perSecond, expectedStatus } = load
  const agent = new Agent({ keepAlive: true, maxSockets: 512 })
  const startMs = systemClock.monotonic()
  const latencies: number[] = []
  let failures = 0
  const send = (body: Buffer, dueMs: number): Promise<void> =>
    new Promise((resolve) => {
      const length = method === 'GET' ? {} : { 'content-length': body.length }
      const sent = request(url, { method, agent, headers: { ...headers, ...length } })
      sent.on('response', (response) => {
        response.resume().on('end', () => {
          if (response.statusCode === expectedStatus) latencies.push(systemClock.monotonic() - dueMs)
          else failures++
          resolve()
        })
      })
      sent.on('error', () => {
        failures++
        resolve()
      })
      sent.end(method === 'GET' ? undefined : body)
    })
  const answers: Promise<void>[] = []
  while (answers.length < bodies.length) {
    const due = Math.min(bodies.length, Math.ceil(((systemClock.monotonic() - startMs) * perSecond) / 1_000))
    for (let next = answers.length; next < due; next++) {
      answers.push(send(bodies[next] as Buffer, startMs + (next * 1_000) / perSecond))
    }
    await systemClock.sleep(1)
  }
  await Promise.all(answers)
  agent.destroy()
  const at = (share: number): number => quantile(latencies, share)
  return { answered: latencies.length, failures, p50Ms: at(0.5), p99Ms: at(0.99), p999Ms: at(0.999) }
}
