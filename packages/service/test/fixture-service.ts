// A service whose way of ending is chosen by MODE; prints what is disposed, in order.
import { int, httpFields, logFields, oneOf } from '@millrace/config'
import { runService } from '@millrace/service'

const spec = {
  ...logFields,
  ...httpFields(0),
  ROWS: int({ doc: 'Rows.', min: 1 }),
  MODE: oneOf({
    doc: 'How it ends.',
    default: 'wait',
    values: ['wait', 'ends', 'dies', 'half-start', 'hangs', 'rejects']
  })
}

await runService({ name: 'fixture', spec }, async ({ config, stack, signal, faults }) => {
  for (const name of ['first', 'second']) stack.defer(() => console.log(`disposed ${name}`))
  signal.addEventListener('abort', () => console.log('intake ended'))
  if (config.MODE === 'half-start') throw new TypeError('cannot open third')
  if (config.MODE === 'hangs') stack.defer(() => new Promise(() => setInterval(() => {}, 1_000)))
  if (config.MODE === 'rejects') setTimeout(() => void Promise.reject(new Error('stray')), 50)
  await faults.at('fixture.started')
  if (config.MODE === 'ends') return { ready: () => true, done: Promise.resolve() }
  if (config.MODE === 'dies') return { ready: () => true, done: Promise.reject(new Error('loop died')) }
  return { ready: () => true }
})
