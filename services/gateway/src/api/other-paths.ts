// The addresses beside intake, as the description has them.
const plain = (summary: string, type: string, description: string) => ({
  get: {
    summary,
    security: [],
    responses: { 200: { description, content: { [type]: { schema: {} } } } }
  }
})
const json = 'application/json'
const object = { [json]: { schema: { type: 'object' } } }
const probe = (summary: string, yes: string, no: string) => ({
  get: {
    summary,
    security: [],
    responses: { 200: { description: yes, content: object }, 503: { description: no, content: object } }
  }
})

/** Paths that need no API key. */
export const paths = {
  '/health': {
    get: {
      summary: 'What works and what does not',
      security: [],
      responses: {
        200: { description: 'Healthy or degraded.', content: object },
        503: { description: 'Unhealthy.', content: object }
      }
    }
  },
  '/livez': probe('Whether the process lives', 'It does.', 'It does not.'),
  '/readyz': probe('Whether it takes requests', 'It does.', 'It starts or stops.'),
  '/metrics': plain('Series for Prometheus', 'text/plain', 'The text format of Prometheus.'),
  '/admin/hot-keys': {
    get: {
      summary: 'The busiest event types, users and devices of each project',
      description: 'Needs the administration token as `Authorization: Bearer`; 404 when the deployment has none.',
      security: [],
      parameters: [
        { name: 'project', in: 'query', schema: { type: 'string' } },
        { name: 'top', in: 'query', schema: { type: 'integer' } }
      ],
      responses: {
        200: {
          description: 'Windows of ten seconds, newest first.',
          content: object
        },
        401: { description: 'The token is missing or wrong.' },
        404: { description: 'The endpoint is off.' }
      }
    }
  },
  '/openapi.json': plain('This description', json, 'OpenAPI 3.1.'),
  '/docs': plain('This description for people', 'text/html', 'A page that loads nothing else.')
}
