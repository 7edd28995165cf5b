import { describe, expect, test } from 'vitest'
import { createAddressGuard } from './outside-address.ts'

describe('the guard of addresses', () => {
  const guard = createAddressGuard([])

  test.each([
    '127.0.0.1',
    '127.8.9.1',
    '0.0.0.0',
    '10.1.2.3',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    '169.254.169.254',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    'fe80::1',
    'fe80::1%eth0',
    'fd00:ec2::254',
    '::ffff:127.0.0.1',
    '::ffff:a9fe:a9fe',
    '::127.0.0.1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    '2001:db8::1',
    'ff02::1',
    'localhost',
    '127.1',
    ''
  ])('lets nothing through to %s', (address) => {
    expect(guard(address)).toBe(false)
  })

  test.each(['1.1.1.1', '172.15.0.1', '172.32.0.1', '192.167.0.1', '2606:4700::1111', '::ffff:1.1.1.1'])(
    'lets through to %s',
    (address) => {
      expect(guard(address)).toBe(true)
    }
  )

  test('lets through what is allowed besides, and no more', () => {
    const allowing = createAddressGuard(['10.1.0.0/16', '127.0.0.1', 'fd00::/8'])
    expect(['10.1.2.3', '127.0.0.1', 'fd12::1', '::ffff:10.1.2.3'].map(allowing)).toEqual([true, true, true, true])
    expect(['10.2.0.1', '127.0.0.2', 'fe80::1'].map(allowing)).toEqual([false, false, false])
  })

  test.each(['10.0.0.0/33', 'ten', '10.0.0.0/', '10.0.0/8', '::/129'])('refuses %s as a range', (range) => {
    expect(() => createAddressGuard([range])).toThrow(/no range of addresses/)
  })
})
