// A service of several processes: /work takes a little while, /pids collects from all. `start` in MODE fails at the start.
import { int, httpFields, logFields, oneOf } from '@millrace/config'
import { bindMetrics, counter, gauge } from '@millrace/observability'
import { runService } from '@millrace/service'
import fastify from 'fastify'

const spec = {
  ...logFields,
  ...httpFields(0),
  MODE: oneOf({ doc: 'How it ends.', default: 'works', values: ['works', 'fails', 'hangs'] }),
  WORKERS: int({ doc: 'Processes.', default: 2 })
}
const metrics = {
  requests: counter({ name: 'analytics_fixture_requests_total', help: 'Requests.' }),
  highest: gauge({ name: 'analytics_fixture_highest', help: 'One in each process.', across: 'max' })
}

await runService({ name: 'fixture', spec, workers: ({ WORKERS }) => WORKERS }, async (context) => {
  const { config, stack, signal, registry, clock, peers } = context
  if (config.MODE === 'fails') throw new TypeError('cannot open')
  if (config.MODE === 'hangs') stack.defer(() => new Promise(() => setInterval(() => {}, 1_000)))
  const { requests, highest } = bindMetrics(metrics, registry)
  highest.set(1)
  const app = fastify({ forceCloseConnections: 'idle', return503OnClosing: false })
  peers.provide('pid', () => process.pid)
  app.get('/pids', async () => await peers.collect('pid'))
  app.get('/work', async (_request, reply) => {
    requests.add(1)
    await clock.sleep(20)
    if (signal.aborted) reply.header('connection', 'close')
    return { pid: process.pid }
  })
  return { ready: () => true, app, checks: { store: { critical: false, run: async () => {} } } }
})
