import { describe, expect, test } from 'vitest'
import { defaultPorts, portNames, portNamesOf, portsFromEnv, portVariableOf } from './ports.ts'

describe('portsFromEnv', () => {
  test('takes the ports that are set and leaves the others to their defaults', () => {
    const env = { MILLRACE_PORT_KAFKA: '9192', MILLRACE_PORT_REDIS_DEDUP: ' 0 ', MILLRACE_PORT_POSTGRES: '' }
    expect(portsFromEnv(env)).toEqual({ kafka: 9192, 'redis-dedup': 0 })
  })

  test('names every value that is no port at once', () => {
    const env = { MILLRACE_PORT_KAFKA: 'x', MILLRACE_PORT_CLICKHOUSE: '65536', MILLRACE_PORT_POSTGRES: '65535' }
    expect(() => portsFromEnv(env)).toThrow(/MILLRACE_PORT_KAFKA is 'x'.*; MILLRACE_PORT_CLICKHOUSE is '65536'/)
  })
})

test('every port has a variable and a default of its own', () => {
  expect(portNames.map(portVariableOf)).toContain('MILLRACE_PORT_KAFKA_CONTROLLER')
  expect(new Set(Object.values(defaultPorts)).size).toBe(portNames.length)
})

test('a second and a third broker bring two ports each', () => {
  expect(portNamesOf(3)).toEqual(portNames)
  expect(portNames.filter((name) => !portNamesOf(1).includes(name))).toEqual([
    'kafka-2',
    'kafka-2-controller',
    'kafka-3',
    'kafka-3-controller'
  ])
})
