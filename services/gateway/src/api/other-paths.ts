// The addresses beside intake, as the description has them.
const plain = (summary: string, type: string, description: string) => ({
  get: {
    summary,
    security: [],
    responses: { 200: { description, content: { [type]: { schema: {} } } } }
  }
})
const json = 'application/json'

/** Paths that need no key. */
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
  '/openapi.json': plain('This description', json, 'OpenAPI 3.1.'),
  '/docs': plain('This description for people', 'text/html', 'A page that loads nothing else.')
}
