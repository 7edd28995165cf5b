// The addresses that need no key.
const plain = (summary: string, type: string, description: string) => ({
  get: { summary, security: [], responses: { 200: { description, content: { [type]: { schema: {} } } } } }
})
const json = 'application/json'

/** For operators, and the description itself. */
export const plainPaths = {
  '/health': plain('What works and what does not', json, 'Healthy or degraded; 503 when unhealthy.'),
  '/livez': plain('Whether the process lives', json, 'It does.'),
  '/readyz': plain('Whether it takes requests', json, 'It does; 503 while it starts and stops.'),
  '/metrics': plain('Series for Prometheus', 'text/plain', 'The text format of Prometheus.'),
  '/openapi.json': plain('This description', json, 'OpenAPI 3.1.'),
  '/docs': plain('This description for people', 'text/html', 'A page that loads nothing else.')
}
