// Records of the raw log as a gateway writes them for browsers: about 900 bytes, with a page, a referrer, now and then a
// campaign, and the user agents of a day.
import { spliceRawEvent } from '@millrace/contracts'
import type { ProduceRecord } from '@millrace/kafka'
import { createRandom } from '@millrace/testkit/random'
import { createEvents } from './workloads.ts'

const referrers = [
  '',
  '',
  'https://www.google.com/',
  'https://m.facebook.com/',
  'https://blog.example/post',
  'https://shop.example/'
]
const campaigns = ['', '', '', '?utm_source=june&utm_medium=email&utm_campaign=summer', '?gclid=abc', '?page=2#top']

/** Makes records over `partitions`, the same for the same seed; with `atMs` events of that time. */
export function createRawRecords(
  seed: number,
  run: string,
  partitions: number,
  atMs?: number
): (count: number) => ProduceRecord[] {
  const random = createRandom(seed)
  const next = createEvents(seed, run)
  const agents = Array.from({ length: 2_000 }, (_, index) => agentOf(index))
  const one = (): ProduceRecord => {
    const event = JSON.parse(next()) as { eventId: string; timestamp: string; context: { page: { path: string } } }
    const url = `https://shop.example${event.context.page.path}${random.pick(campaigns)}`
    const context = { page: { url, referrer: random.pick(referrers), title: 'A product of the shop' } }
    const receivedAt = atMs === undefined ? event.timestamp : new Date(atMs).toISOString()
    const body = Buffer.from(JSON.stringify({ ...event, timestamp: receivedAt, sentAt: receivedAt, context }))
    const userAgent = random.pick(agents)
    return {
      partition: random.below(partitions),
      key: event.eventId,
      value: spliceRawEvent(body, { projectId: 'bench', receivedAt, userAgent, ip: `198.51.100.${random.below(250)}` })
    }
  }
  return (count) => Array.from({ length: count }, one)
}

function agentOf(index: number): string {
  const version = 100 + (index % 40)
  const build = Math.floor(index / 40)
  return index % 3 === 0
    ? `Mozilla/5.0 (iPhone; CPU iPhone OS 17_${build} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.${version} Mobile/15E148 Safari/604.1`
    : `Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${version}.0.${build}.0 Safari/537.36`
}
