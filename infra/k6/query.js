// Load of people who look at dashboards, in stages: 50 users, then 200, who ask about once a second each. It fails when the
// 95th percentile is not below 500 ms, or when more than one request in a hundred fails. How to run it: docs/querying.md.
import { check, sleep } from 'k6'
import http from 'k6/http'

const url = __ENV.QUERY_URL || 'http://127.0.0.1:4002'
const params = { headers: { authorization: `Bearer ${__ENV.SECRET_KEY}` } }

export const options = {
  stages: [
    { duration: '1m', target: 50 },
    { duration: '3m', target: 50 },
    { duration: '1m', target: 200 },
    { duration: '3m', target: 200 },
    { duration: '1m', target: 0 }
  ],
  thresholds: {
    http_req_duration: ['p(95)<500'],
    http_req_failed: ['rate<0.01']
  }
}

const queries = [
  'SELECT count() FROM events',
  'SELECT eventType, count() AS n FROM events GROUP BY eventType ORDER BY n DESC LIMIT 20',
  'SELECT uniq(userId) FROM events WHERE timestamp >= now() - INTERVAL 1 DAY',
  'SELECT toStartOfHour(timestamp) AS hour, count() FROM events WHERE timestamp >= now() - INTERVAL 1 DAY GROUP BY hour ORDER BY hour',
  "SELECT toDate(timestamp) AS day, count() FROM events WHERE eventType = 'purchase' GROUP BY day ORDER BY day"
]
const metrics = ['events?granularity=1m', 'events?granularity=1h', 'revenue?granularity=1h', 'daily_active_users']

const pick = (values) => values[Math.floor(Math.random() * values.length)]

/** One user: two of three requests are queries, the third is a metric. */
// oxlint-disable-next-line import/no-default-export -- it is what k6 runs
export default function lookAtDashboard() {
  const address =
    Math.random() < 2 / 3 ? `/v1/query?sql=${encodeURIComponent(pick(queries))}` : `/v1/metrics/${pick(metrics)}`
  // Of one name, or every question would be a series of its own.
  const name = address.startsWith('/v1/query') ? 'query' : 'metric'
  const answer = http.get(url + address, Object.assign({ tags: { name } }, params))
  check(answer, { answered: ({ status }) => status === 200 })
  sleep(0.5 + Math.random())
}
