// The shapes that the description refers to.
import { problemSchema } from '@millrace/contracts'
import { analysisShapes } from './analysis-shapes.ts'
import { described, list, text, whole } from './parts.ts'

const point = {
  type: 'object',
  required: ['timestamp', 'value', 'count', 'provisional', 'complete'],
  properties: {
    timestamp: described('Start of the window.', { type: 'string', format: 'date-time' }),
    value: described('Null: not known, or there is no least value or rate of no events.', { type: ['number', 'null'] }),
    count: described('Events that the value is made of; of rates sessions.', { type: ['integer', 'null'] }),
    uniqueUsers: described('Of metrics that count users; approximate (0.81 %) in live windows.', whole),
    numerator: described('Of rates; value is numerator / denominator.', { type: 'number' }),
    denominator: { type: 'number' },
    provisional: described('Events in time may still change it.', { type: 'boolean' }),
    complete: described('False: the window is not over or not known, or its dimension is beyond the cap.', {
      type: 'boolean'
    })
  }
}

/** Keys, shapes of requests and replies. */
export const components = {
  securitySchemes: {
    bearer: { type: 'http', scheme: 'bearer', description: 'A secret key.' },
    apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' }
  },
  schemas: {
    Query: {
      type: 'object',
      required: ['sql'],
      additionalProperties: false,
      properties: {
        sql: described('One SELECT, at most 65,536 characters.', text),
        params: described('Values by name: text, numbers, true, false, null, or lists of these.', { type: 'object' })
      }
    },
    Answer: {
      type: 'object',
      required: ['columns', 'rows', 'rowCount', 'stats'],
      properties: {
        columns: list({ type: 'object', properties: { name: text, type: text } }),
        rows: described(
          'In the order of the columns. Beyond 2^53 cast whole numbers to String.',
          list({ type: 'array' })
        ),
        rowCount: whole,
        stats: { type: 'object', properties: { elapsedMs: { type: 'number' }, readRows: whole, readBytes: whole } }
      }
    },
    Schema: {
      type: 'object',
      properties: {
        version: described('Changes with the columns.', text),
        tables: list({ type: 'object', properties: { name: text, columns: list({ type: 'object' }) } }),
        eventTypes: list({ type: 'object', properties: { eventType: text, properties: list({ type: 'object' }) } })
      }
    },
    MetricList: {
      type: 'object',
      properties: {
        metrics: list({
          type: 'object',
          properties: { name: text, description: text, granularities: list(text), dimensions: list(text) }
        })
      }
    },
    Metric: {
      type: 'object',
      required: ['metric', 'granularity', 'source', 'data'],
      properties: {
        metric: text,
        granularity: { enum: ['1m', '1h', '1d'] },
        dimension: list(text),
        source: { enum: ['live', 'warehouse', 'mixed'] },
        data: list(point),
        dimensions: described('Names of the dimensions, when they were asked for.', list(text)),
        values: described(
          'The same for each value of the dimensions, the most frequent first.',
          list({ type: 'object' })
        )
      }
    },
    ...analysisShapes,
    Problem: problemSchema({
      position: described('Line and column of the query, from 1.', { type: 'object' }),
      parameter: described('The parameter of the address that breaks its rule.', text),
      budget: described('Of `rate_limited`: bytesPerSecond, burstBytes, availableBytes, estimatedBytes.', {
        type: 'object'
      })
    })
  }
}
