// The description of the HTTP surface as OpenAPI 3.1. The protocol on the socket is docs/realtime.md.
import { liveKinds, problemContentType, problemSchema } from '@millrace/contracts'

const problem = (description: string) => ({
  description,
  content: { [problemContentType]: { schema: { $ref: '#/components/schemas/Problem' } } }
})
const plain = (summary: string, type: string, description: string) => ({
  get: { summary, security: [], responses: { 200: { description, content: { [type]: { schema: {} } } } } }
})
const json = 'application/json'
const allow = { type: 'array', items: { enum: [...liveKinds] }, minItems: 1 }

/** The document. `version` is that of the service. */
export function createOpenApi(version: string) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Millrace live feed',
      version,
      description: 'A ticket for a secret key, and a WebSocket for a ticket.'
    },
    security: [{ bearer: [] }, { apiKey: [] }],
    paths: {
      '/v1/tickets': {
        post: {
          summary: 'Get a ticket for one connection',
          description:
            'Your own server asks with the secret key and hands the ticket to its page. It is good once, for a minute. ' +
            'Requests of pages are refused: a page must not have a secret key.',
          requestBody: {
            required: false,
            content: {
              [json]: {
                schema: { type: 'object', additionalProperties: false, properties: { allow } },
                example: { allow: ['metrics'] }
              }
            }
          },
          responses: {
            201: {
              description: 'The ticket.',
              content: { [json]: { schema: { $ref: '#/components/schemas/Ticket' } } }
            },
            400: problem('`invalid_json`: the body is not JSON.'),
            401: problem('`unauthorized`: the key is missing or unknown.'),
            403: problem('`forbidden`: it is a write key, or a page asks.'),
            413: problem('`body_too_large`: more than 4 KiB.'),
            415: problem('`unsupported_media_type`: the body is not application/json.'),
            422: problem('`invalid_field`: allow names something else.'),
            503: problem('`unavailable`: keys or tickets cannot be looked up now.')
          }
        }
      },
      '/realtime': {
        get: {
          summary: 'Connect to the live feed',
          description: 'A WebSocket handshake (RFC 6455). Messages are JSON text; docs/realtime.md has all of them.',
          security: [],
          parameters: [{ name: 'ticket', in: 'query', required: true, schema: { type: 'string' } }],
          responses: {
            101: { description: 'Connected.' },
            401: problem('`unauthorized`: the ticket is missing, unknown, used or over.'),
            403: problem('`origin_not_allowed`: the project names other origins.'),
            426: problem('`invalid_request`: not a handshake.'),
            429: problem('`rate_limited`: the project has as many connections as it may have.'),
            503: problem('`unavailable`: the instance is full or stops, or tickets cannot be looked up.')
          }
        }
      },
      '/': plain('The live page', 'text/html', 'A page that loads nothing of another host.'),
      '/health': plain('What works and what does not', json, 'Healthy or degraded; 503 when unhealthy.'),
      '/livez': plain('Whether the process lives', json, 'It does.'),
      '/readyz': plain('Whether it takes connections', json, 'It does; 503 while it starts and stops.'),
      '/metrics': plain('Series for Prometheus', 'text/plain', 'The text format of Prometheus.'),
      '/openapi.json': plain('This description', json, 'OpenAPI 3.1.'),
      '/docs': plain('This description as a page', 'text/html', 'A page that loads nothing of another host.')
    },
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'A secret key.' },
        apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' }
      },
      schemas: {
        Ticket: {
          type: 'object',
          required: ['ticket', 'expiresInMs', 'project', 'allow'],
          properties: {
            ticket: { type: 'string' },
            expiresInMs: { type: 'integer' },
            project: { type: 'string' },
            allow
          }
        },
        Problem: problemSchema({
          pointer: { type: 'string', description: 'RFC 6901 pointer into the body or message.' }
        })
      }
    }
  }
}
