import { describe, expect, test } from 'vitest'
import { kafkaProperties } from './kafka-properties.ts'
import type { KafkaNode } from './kafka-properties.ts'

const node = (id: number): KafkaNode => ({ id, port: 9000 + id, controllerPort: 9100 + id })

function settings(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .trim()
      .split('\n')
      .map((line) => line.split(/=(.*)/s).slice(0, 2))
  )
}

describe('kafkaProperties', () => {
  test('makes a single node its own controller, with one copy of everything', () => {
    const single = settings(kafkaProperties({ node: node(1), nodes: [node(1)], dataFolder: '/d' }))
    expect(single).toMatchObject({
      'process.roles': 'broker,controller',
      'node.id': '1',
      'controller.quorum.voters': '1@127.0.0.1:9101',
      listeners: 'PLAINTEXT://127.0.0.1:9001,CONTROLLER://127.0.0.1:9101',
      'advertised.listeners': 'PLAINTEXT://127.0.0.1:9001',
      'log.dirs': '/d',
      'min.insync.replicas': '1',
      'offsets.topic.replication.factor': '1',
      'offsets.topic.num.partitions': '10',
      'group.initial.rebalance.delay.ms': '0',
      'auto.create.topics.enable': 'false',
      'log.message.timestamp.type': 'LogAppendTime'
    })
  })

  test('keeps three copies with two in sync from three nodes on', () => {
    const nodes = [node(1), node(2), node(3)]
    const third = settings(kafkaProperties({ node: node(3), nodes, dataFolder: '/d' }))
    expect(third).toMatchObject({
      'node.id': '3',
      'controller.quorum.voters': '1@127.0.0.1:9101,2@127.0.0.1:9102,3@127.0.0.1:9103',
      'default.replication.factor': '3',
      'min.insync.replicas': '2',
      'transaction.state.log.min.isr': '2'
    })
  })

  test('tells the port of a proxy in front of it, and listens on its own', () => {
    const nodes = [{ ...node(1), advertisedPort: 9301 }]
    expect(
      settings(kafkaProperties({ node: { ...node(1), advertisedPort: 9301 }, nodes, dataFolder: '/d' }))
    ).toMatchObject({
      listeners: 'PLAINTEXT://127.0.0.1:9001,CONTROLLER://127.0.0.1:9101',
      'advertised.listeners': 'PLAINTEXT://127.0.0.1:9301'
    })
  })

  test('takes records of dead-letter size, and replicates them', () => {
    const single = settings(kafkaProperties({ node: node(1), nodes: [node(1)], dataFolder: '/d' }))
    const largest = Number(single['message.max.bytes'])
    expect(largest).toBeGreaterThan(2 * 1024 * 1024)
    expect(Number(single['replica.fetch.max.bytes'])).toBeGreaterThanOrEqual(largest)
  })
})
