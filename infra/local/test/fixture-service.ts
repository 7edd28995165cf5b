// A stand-in for a service: /readyz, its environment as JSON at /, a graceful stop on SIGTERM.
import { createServer } from 'node:http'

const server = createServer((request, response) => {
  if (request.url === '/readyz') return response.writeHead(200).end()
  response.setHeader('content-type', 'application/json')
  return response.end(JSON.stringify(process.env))
})
if (process.env['FIXTURE_FAILS'] === '1') {
  console.error('fixture: DATABASE_URL is required')
  process.exitCode = 1
} else {
  server.listen({ port: Number(process.env['PORT']), host: '127.0.0.1' })
  process.on('SIGTERM', () => {
    console.log('stopped gracefully')
    process.exit(0)
  })
}
