// The addresses beside intake, as the description has them.
const plain = (summary: string, type: string, description: string) => ({
  get: {
    summary,
    security: [],
    responses: { 200: { description, content: { [type]: { schema: {} } } } }
  }
})
const json = 'application/json'

/** Paths that need no API key. */
export const paths = {
  '/health': {
    get: {
      summary: 'What works and what does not',
      security: [],
      responses: {
        200: { description: 'Healthy or degraded.', content: { [json]: { schema: { type: 'object' } } } },
        503: { description: 'Unhealthy.', content: { [json]: { schema: { type: 'object' } } } }
      }
    }
  },
  '/livez': plain('Whether the process lives', json, 'It does.'),
  '/readyz': plain('Whether it takes requests', json, 'It does; 503 while it starts and stops.'),
  '/metrics': plain('Series for Prometheus', 'text/plain', 'The text format of Prometheus.'),
  '/admin/hot-keys': {
    get: {
      summary: 'The busiest event types and users of each project',
      description: 'Needs the administration token as `Authorization: Bearer`; 404 when the deployment has none.',
      security: [],
      parameters: [
        { name: 'project', in: 'query', schema: { type: 'string' } },
        { name: 'top', in: 'query', schema: { type: 'integer' } }
      ],
      responses: {
        200: {
          description: 'Windows of ten seconds, newest first.',
          content: { [json]: { schema: { type: 'object' } } }
        },
        401: { description: 'The token is missing or wrong.' },
        404: { description: 'The endpoint is off.' }
      }
    }
  },
  '/openapi.json': plain('This description', json, 'OpenAPI 3.1.'),
  '/docs': plain('This description for people', 'text/html', 'A page that loads nothing else.')
}
