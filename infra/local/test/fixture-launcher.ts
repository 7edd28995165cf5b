// Starts two stand-in services, prints their pids and waits to be killed.
import { startServices } from '@millrace/local-stack/supervisor'

const running = await startServices({
  endpoints: {},
  pepper: 'p',
  folder: process.argv[2] ?? '',
  ports: 'ephemeral',
  only: ['gateway', 'loader'],
  entry: () => 'infra/local/test/fixture-service.ts'
})
console.log(running.all.map(({ pid }) => pid).join(' '))
setInterval(() => {}, 1_000)
