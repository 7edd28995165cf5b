// The reference of the gateway: Fastify as it comes, parsing the same body and answering 202 without doing anything.
// Lines and packed bodies are taken as they arrive. Prints its port when it listens; ends with SIGTERM.
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import fastify from 'fastify'

const app = fastify({ logger: false, bodyLimit: 8 * 1024 * 1024 })
app.addContentTypeParser('application/x-ndjson', { parseAs: 'string' }, (_request, body, done) =>
  done(
    null,
    String(body)
      .split('\n')
      .map((line) => JSON.parse(line) as unknown)
  )
)
app.addHook('preParsing', async (request, _reply, payload) => {
  const encoding = request.headers['content-encoding']
  if (encoding === undefined) return payload
  const chunks: Buffer[] = []
  for await (const chunk of payload) chunks.push(chunk as Buffer)
  const body = encoding === 'gzip' ? gunzipSync(Buffer.concat(chunks)) : zstdDecompressSync(Buffer.concat(chunks))
  const { Readable } = await import('node:stream')
  return Object.assign(Readable.from([body]), { receivedEncodedLength: Buffer.concat(chunks).length })
})
app.post<{ Body: { eventId: string } }>('/v1/events', async (request, reply) =>
  reply.code(202).send({ status: 'accepted', eventId: request.body.eventId })
)
app.post<{ Body: { events: readonly unknown[] } | readonly unknown[] }>('/v1/events/batch', async (request, reply) => {
  const { body } = request
  return reply.code(202).send({ accepted: 'events' in body ? body.events.length : body.length })
})
process.on('SIGTERM', () => void app.close())
const address = await app.listen({ port: 0, host: '127.0.0.1' })
process.stdout.write(`${new URL(address).port}\n`)
