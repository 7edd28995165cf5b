// A site of its own origin with the client on it, built as an application would build it.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const page = `<!doctype html><title>A shop</title>
<script type="module">
  import { createClient } from '/client.js'
  window.createClient = createClient
  window.ready = true
</script>`

export interface PageServer extends AsyncDisposable {
  /** Such as http://127.0.0.1:40123. */
  readonly origin: string
}

/** Serves a page at any path, which has `window.createClient`. */
export async function openPageServer(): Promise<PageServer> {
  const client = await bundleClient()
  const server = createServer((request, response) => {
    const script = request.url === '/client.js'
    response.setHeader('content-type', script ? 'text/javascript' : 'text/html')
    response.end(script ? client : page)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // A listening TCP server has an address and a port.
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    }
  }
}

async function bundleClient(): Promise<string> {
  await using bundle = await rolldown({ input: fileURLToPath(import.meta.resolve('@millrace/client')) })
  const { output } = await bundle.generate({ format: 'esm', minify: true })
  return output[0].code
}
