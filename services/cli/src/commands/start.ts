// `millrace start`: the whole pipeline on this machine. Options here, the work in ../start/.
import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import type { BrokerCount } from '@millrace/local-stack/part'
import type { CliContext, CommonOptions } from '../context.ts'
import { runPipeline } from '../start/run-pipeline.ts'
import { brokersHelp, parseBrokers } from './brokers-option.ts'
import { addCommand } from './command.ts'

/** Adds `start`. */
export function addStartCommand(program: Command, context: CliContext): void {
  addCommand(program, {
    usage: 'start',
    description: 'run the whole pipeline here, with real parts and demo traffic; Ctrl-C stops it',
    examples: [
      'npm start',
      'npm start -- --no-traffic',
      'npm start -- --rate 200',
      'npm start -- --brokers 3',
      'MILLRACE_PORT_GATEWAY=5001 npm start'
    ]
  })
    .option('--no-traffic', 'send no demo events')
    .option('--rate <events>', 'demo events per second', parseRate, 20)
    .option('--seed <number>', 'seed of the demo events', parseSeed, 1)
    .option('--brokers <count>', brokersHelp, parseBrokers)
    .action(async ({ json = false, ...options }: StartOptions) => await runPipeline(context, { json, ...options }))
}

type StartOptions = CommonOptions & {
  readonly traffic: boolean
  readonly rate: number
  readonly seed: number
  readonly brokers?: BrokerCount
}

function parseRate(text: string): number {
  const rate = Number(text)
  if (!(rate > 0 && rate <= 1_000)) throw new InvalidArgumentError('a number above 0, at most 1000.')
  return rate
}

function parseSeed(text: string): number {
  const seed = Number(text)
  if (!Number.isSafeInteger(seed)) throw new InvalidArgumentError('a whole number.')
  return seed
}
