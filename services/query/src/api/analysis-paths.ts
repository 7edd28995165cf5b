// Addresses of what dashboards ask without SQL.
import { answerHeaders, common, jsonOf, query, ref, responses, text } from './parts.ts'

const time = 'ISO 8601 with a zone, a date, or milliseconds since 1970, before 2300'
const span = (usual: string) => [
  query('startTime', `${time}; ${usual} before endTime when it is left out.`, text),
  query('endTime', `${time}; now when it is left out. At most 366 days after startTime.`, text),
  query('timezone', 'Whose days dates mean, such as Europe/Berlin; UTC when it is left out.', text)
]
const identity = query(
  'identity',
  '`person`: by all that is known of who did an event, merges and later logins included. `raw`: by the ids of the event itself.',
  { enum: ['person', 'raw'] }
)
const filters = (name: string) =>
  query(name, 'A list of `Filter` as JSON; all of them hold.', { type: 'string', format: 'json' })
const place = (name: string, description: string) => ({ name, in: 'path', required: true, description, schema: text })
const problems = ['missing_field', 'unknown_field', 'invalid_field', 'query_limit', 'rate_limited'] as const
const answered = (name: string, example: object) =>
  responses({ 200: { description: 'It.', headers: answerHeaders, content: jsonOf(ref(name), example) } }, problems)

const anEvent = {
  eventId: '0199f3a1-7c8e-7f21-9c51-0d6f1f7a2b10',
  eventType: 'purchase',
  userId: 'ann',
  personId: 'ann',
  timestamp: '2026-03-01T12:00:00.000Z',
  receivedAt: '2026-03-01T12:00:00.140Z',
  properties: { amount: 49.9 }
}
const aFunnel = {
  startTime: '2026-03-01',
  endTime: '2026-03-08',
  steps: [
    { eventType: 'page_view', filters: [{ property: 'path', operator: 'is', values: ['/pricing'] }] },
    { eventType: 'purchase', filters: [{ property: 'properties.amount', operator: 'gte', values: [10] }] }
  ],
  conversionWindow: '7d',
  breakdown: { property: 'country', limit: 5 }
}
const steps = [
  { eventType: 'page_view', count: 120, conversion: 1, stepConversion: 1 },
  { eventType: 'purchase', count: 30, conversion: 0.25, stepConversion: 0.25 }
]
const range = { startTime: '2026-03-01T00:00:00.000Z', endTime: '2026-03-08T00:00:00.000Z' }

/** Timeline, funnels, retention, most frequent values. */
export const analysisPaths = {
  '/v1/users/{userId}/events': {
    get: {
      summary: "A user's timeline",
      description:
        'The events of a user, newest first, page by page. Of `identity=person` these are the events of the person that the user id belongs to: those of other user ids merged with it, and those of its devices from before a login.',
      parameters: [
        place('userId', 'A user id; `anon:<id>` is a device whose user is not known.'),
        ...span('30 days'),
        query('eventType', 'Events of this type alone.', text),
        query('order', 'By time.', { enum: ['desc', 'asc'] }),
        query(
          'limit',
          'Most events of a page, 1 to 1,000; 100 when it is left out. Large events make a page shorter.',
          { type: 'integer' }
        ),
        query('cursor', 'The `nextCursor` of the page before, with the rest of the question as it was.', text),
        identity,
        ...common
      ],
      responses: answered('Timeline', {
        userId: 'ann',
        identity: 'person',
        personId: 'ann',
        events: [anEvent],
        nextCursor: null
      })
    }
  },
  '/v1/funnels': {
    post: {
      summary: 'A funnel',
      description:
        'How many persons did one thing after the other. A person enters with an event of the first step within the span and has the whole window from it; of several tries the farthest counts, and an event counts for one step only.',
      parameters: common,
      requestBody: { required: true, content: jsonOf(ref('FunnelQuestion'), aFunnel) },
      responses: answered('Funnel', {
        ...range,
        order: 'ordered',
        conversionWindow: '7d',
        identity: 'person',
        steps,
        conversion: 0.25,
        breakdown: {
          property: 'country',
          values: [{ value: 'DE', steps, conversion: 0.25 }],
          otherValues: 0,
          other: {
            steps: steps.map((step) => ({ ...step, count: 0, conversion: null, stepConversion: null })),
            conversion: null
          }
        }
      })
    }
  },
  '/v1/retention': {
    get: {
      summary: 'Who comes back',
      description:
        'Cohorts by the period of the first `firstEvent` of a person within the span, and how many of each did a `returningEvent` after it, period by period.',
      parameters: [
        query('firstEvent', 'Event type.', text, true),
        query('returningEvent', 'Event type; may be the same.', text, true),
        filters('firstFilters'),
        filters('returningFilters'),
        query('granularity', 'Length of a period; weeks begin on Monday.', { enum: ['day', 'week', 'month'] }),
        query('periods', 'How many of each cohort, 1 to 90; 8 when it is left out.', { type: 'integer' }),
        ...span('7 days, 8 weeks or 180 days'),
        identity,
        ...common
      ],
      responses: answered('Retention', {
        firstEvent: 'signup',
        returningEvent: 'page_view',
        granularity: 'day',
        timezone: 'UTC',
        identity: 'person',
        cohorts: [{ date: '2026-03-01', size: 40, returned: [31, 12, 9, null] }]
      })
    }
  },
  '/v1/top/{dimension}': {
    get: {
      summary: 'Most frequent values',
      description: 'Events without the property are left out. Users are counted exactly.',
      parameters: [
        place('dimension', 'A property as filters name it: `path`, `country`, `properties.plan`.'),
        ...span('7 days'),
        query('by', 'What the order and the shares are of.', { enum: ['events', 'users'] }),
        query('limit', 'How many values, 1 to 200; 10 when it is left out.', { type: 'integer' }),
        query('eventType', 'Events of this type alone.', text),
        filters('filters'),
        identity,
        ...common
      ],
      responses: answered('Top', {
        dimension: 'country',
        by: 'events',
        identity: 'person',
        ...range,
        total: { events: 50, users: 9 },
        values: [{ value: 'DE', events: 40, users: 7, share: 0.8 }],
        other: { events: 10, users: 3, share: 0.2 }
      })
    }
  }
}
