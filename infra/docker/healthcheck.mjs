// HEALTHCHECK of the images: does the process of this container still turn? Whether it can work now is what /readyz
// says; a container that only waits for a store must not be restarted.
const response = await fetch(`http://127.0.0.1:${process.env.PORT}/livez`, {
  signal: AbortSignal.timeout(2_500)
}).catch((error) => ({ ok: false, status: error.cause?.code ?? error.name }))
if (!response.ok) process.stderr.write(`/livez: ${response.status}\n`)
process.exitCode = response.ok ? 0 : 1
