// The shapes of what dashboards ask without SQL.
import { eventProperties, mostFilters, operators } from '../analysis/filters.ts'
import { mostSteps } from '../analysis/funnel.ts'
import { described, list, ref, text, whole } from './parts.ts'

const share = { type: ['number', 'null'] }
const moment = { type: ['string', 'integer'] }
const time = { type: 'string', format: 'date-time' }
const shape = (properties: object, required: readonly string[] = Object.keys(properties)) => ({
  type: 'object',
  required,
  properties
})
const identity = described('`person`: all that is known of who did it. `raw`: the ids of the event itself.', {
  enum: ['person', 'raw']
})
const shownSteps = list(
  shape({
    eventType: text,
    count: described('Persons who came so far.', whole),
    conversion: described('Share of those of the first step.', share),
    stepConversion: described('Share of those of the step before.', share)
  })
)
const reached = { steps: shownSteps, conversion: described('Share of those of the first step at the last one.', share) }

/** Requests and replies. */
export const analysisShapes = {
  Filter: shape(
    {
      property: described(`\`properties.<name>\`, or one of ${eventProperties.join(', ')}.`, text),
      operator: described('Texts are compared as they are written, numbers with numbers.', { enum: [...operators] }),
      values: described(
        'One is enough; of `isNot` and `notContains` none. Not for `isSet`.',
        list({}, { maxItems: 50 })
      )
    },
    ['property', 'operator']
  ),
  Step: shape(
    { eventType: text, filters: described('All of them hold.', list(ref('Filter'), { maxItems: mostFilters })) },
    ['eventType']
  ),
  FunnelQuestion: {
    additionalProperties: false,
    ...shape(
      {
        startTime: described(
          'As of metrics; the first step lies in the span. 30 days unless it says otherwise.',
          moment
        ),
        endTime: moment,
        timezone: described('Whose days dates mean; UTC when it is left out.', text),
        steps: described('In their order.', list(ref('Step'), { minItems: 2, maxItems: mostSteps })),
        conversionWindow: described('Longest time from the first step to the last: 30m, 24h, 14d.', text),
        order: described(
          '`ordered`: other events may lie between two steps. `strict`: a step is the very next event of the person.',
          { enum: ['ordered', 'strict'] }
        ),
        identity,
        breakdown: described(
          'Persons apart by a property of their first event of the first step.',
          shape({ property: text, limit: { type: 'integer', minimum: 1, maximum: 50 } }, ['property'])
        )
      },
      ['steps']
    )
  },
  Funnel: shape(
    {
      startTime: time,
      endTime: time,
      order: text,
      conversionWindow: text,
      identity,
      ...reached,
      breakdown: shape({
        property: text,
        values: described(
          'The most frequent at the first step; empty: without the property.',
          list(shape({ value: text, ...reached }))
        ),
        otherValues: described('How many values `other` is of.', whole),
        other: shape(reached)
      })
    },
    ['startTime', 'endTime', 'order', 'conversionWindow', 'identity', 'steps', 'conversion']
  ),
  Retention: shape({
    firstEvent: text,
    returningEvent: text,
    granularity: { enum: ['day', 'week', 'month'] },
    timezone: text,
    identity,
    cohorts: list(
      shape({
        date: described('First day of the period in which they did the first event.', text),
        size: described('Persons.', whole),
        returned: described(
          'Of these by period, 0 is that of the cohort; null: it has not begun.',
          list({ type: ['integer', 'null'] })
        )
      })
    )
  }),
  Top: shape({
    dimension: text,
    by: { enum: ['events', 'users'] },
    identity,
    startTime: time,
    endTime: time,
    total: shape({ events: whole, users: whole }),
    values: list(shape({ value: text, events: whole, users: whole, share })),
    other: described('All values that are not listed.', shape({ events: whole, users: whole, share }))
  }),
  Timeline: shape(
    {
      userId: text,
      identity,
      personId: described('Whose events these are, of `identity=person`.', text),
      events: list(
        shape({ eventId: text, eventType: text, timestamp: time, receivedAt: time, properties: { type: 'object' } })
      ),
      nextCursor: described('Of the next page; null: this is the last one.', { type: ['string', 'null'] })
    },
    ['userId', 'identity', 'events', 'nextCursor']
  )
}
