// A launcher as a process of its own, to be killed: starts the stack of the folder given as argument on free ports,
// prints the pids of the parts as one line of JSON, and stays.
import { startStack } from '../src/stack.ts'

const [, , dataDir = ''] = process.argv
const stack = await startStack({ dataDir, ports: 'ephemeral' })
console.log(JSON.stringify(stack.parts.map(({ pid }) => pid)))
setInterval(() => {}, 1_000)
