// The option `--brokers` of the commands that start a stack.
import { InvalidArgumentError } from 'commander'
import type { BrokerCount } from '@millrace/local-stack/part'

export const brokersHelp = 'Kafka brokers, 1 or 3; fixed by the first start of a data folder'

/** Reads the value of `--brokers`. */
export function parseBrokers(text: string): BrokerCount {
  if (text === '1') return 1
  if (text === '3') return 3
  throw new InvalidArgumentError('1 or 3.')
}
