import { expect, test } from 'vitest'
import { listeningInodes } from './port-owner.ts'

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:4A94 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0 0 10 0
   1: 0100007F:4A94 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 222 1 0 20 4 30 10 -1
   2: 00000000:004A 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1 0 100 0 0 10 0`

test('only the sockets that listen on the port are named', () => {
  expect(listeningInodes(table, 0x4a94)).toEqual(['111'])
  expect(listeningInodes(table, 0x4a)).toEqual(['333'])
  expect(listeningInodes(table, 0x94)).toEqual([])
})
