// Load of apps that send events, in stages: 50 clients, then 200, each a batch of 20 or a single event about once a second. It
// fails when the 95th percentile is not below 500 ms, the 99th of single events not below 250 ms, or when
// more than one request in a hundred fails. How to run it: docs/deployment.md.
import { check, sleep } from 'k6'
import http from 'k6/http'

const url = __ENV.GATEWAY_URL || 'http://127.0.0.1:4001'
const headers = { authorization: `Bearer ${__ENV.WRITE_KEY}`, 'content-type': 'application/json' }

export const options = {
  // The certificate of prepare.sh is signed by nobody.
  insecureSkipTLSVerify: __ENV.INSECURE === '1',
  stages: [
    { duration: '1m', target: 50 },
    { duration: '3m', target: 50 },
    { duration: '1m', target: 200 },
    { duration: '3m', target: 200 },
    { duration: '1m', target: 0 }
  ],
  thresholds: {
    http_req_duration: ['p(95)<500'],
    'http_req_duration{name:single}': ['p(99)<250'],
    http_req_failed: ['rate<0.01'],
    checks: ['rate>0.99']
  }
}

const types = ['page_view', 'page_view', 'page_view', 'product_view', 'search', 'add_to_cart', 'purchase']
const run = Math.random().toString(36).slice(2, 10)
const pick = (values) => values[Math.floor(Math.random() * values.length)]

let sent = 0
const event = () => ({
  // Of this run, client and count: a repeated one is recognised, two are never the same.
  eventId: `k6-${run}-${__VU}-${sent++}`,
  eventType: pick(types),
  userId: `user-${Math.floor(Math.random() * 10000)}`,
  sessionId: `session-${__VU}-${Math.floor(sent / 50)}`,
  timestamp: new Date().toISOString(),
  properties: { page: `/p/${Math.floor(Math.random() * 500)}`, revenue: Math.round(Math.random() * 10000) / 100 }
})

/** One client: every third request is a batch. */
// oxlint-disable-next-line import/no-default-export -- it is what k6 runs
export default function sendEvents() {
  const batch = Math.random() < 1 / 3
  const path = batch ? '/v1/events/batch' : '/v1/events'
  const body = JSON.stringify(batch ? { events: Array.from({ length: 20 }, event) } : event())
  const answer = http.post(url + path, body, { headers, tags: { name: batch ? 'batch' : 'single' } })
  check(answer, { stored: ({ status }) => status === 202 || status === 409 })
  // 429 and 503 say when to come again; here the next event is as good.
  sleep(0.5 + Math.random())
}
