// The reference of the gateway: Fastify as it comes, parsing the same body and answering 202 without doing anything.
// Prints its port when it listens; ends with SIGTERM.
import fastify from 'fastify'

const app = fastify({ logger: false })
app.post<{ Body: { eventId: string } }>('/v1/events', async (request, reply) =>
  reply.code(202).send({ status: 'accepted', eventId: request.body.eventId })
)
process.on('SIGTERM', () => void app.close())
const address = await app.listen({ port: 0, host: '127.0.0.1' })
process.stdout.write(`${new URL(address).port}\n`)
