// Whether a broker serves, asked in Kafka's own protocol: a metadata answer that names a live broker. An open port is
// not enough, the broker listens before its controller lets it in.
import { tcpExchange } from './tcp-exchange.ts'

const metadataKey = 3
const metadataVersion = 1

/** Metadata request, version 1, for no topic. */
export function metadataRequest(clientId = 'millrace-stack'): Buffer {
  const client = Buffer.from(clientId)
  const body = Buffer.alloc(10 + client.length + 4)
  body.writeInt16BE(metadataKey, 0)
  body.writeInt16BE(metadataVersion, 2)
  body.writeInt32BE(1, 4)
  body.writeInt16BE(client.length, 8)
  client.copy(body, 10)
  body.writeInt32BE(0, 10 + client.length)
  const size = Buffer.alloc(4)
  size.writeInt32BE(body.length)
  return Buffer.concat([size, body])
}

/** Number of live brokers in an answer to metadataRequest, undefined while it is incomplete. */
export function brokerCount(answer: Buffer): number | undefined {
  if (answer.length < 4 || answer.length < 4 + answer.readInt32BE(0)) return undefined
  return answer.readInt32BE(8)
}

/** Node ids of the live brokers in a complete answer to metadataRequest. */
export function brokerIds(answer: Buffer): readonly number[] {
  const ids: number[] = []
  let at = 12
  for (let left = brokerCount(answer) ?? 0; left > 0; left--) {
    ids.push(answer.readInt32BE(at))
    // Host, port, and a rack that may be null (length -1).
    at += 4 + 2 + answer.readInt16BE(at + 4) + 4
    at += 2 + Math.max(0, answer.readInt16BE(at))
  }
  return ids
}

/** Whether the broker `id` on `port` counts itself as alive. Rejects while it does not answer. */
export async function kafkaAnswers(port: number, id: number): Promise<boolean> {
  const answer = await tcpExchange(port, metadataRequest(), (bytes) => brokerCount(bytes) !== undefined)
  return brokerIds(answer).includes(id)
}
