import { describe, expect, it } from 'vitest'
import { servicePortsFromEnv } from './services.ts'

describe('servicePortsFromEnv', () => {
  it('moves the services that the environment names', () => {
    expect(servicePortsFromEnv({ MILLRACE_PORT_GATEWAY: '5001', MILLRACE_PORT_QUERY: '' })).toEqual({ gateway: 5001 })
  })

  it('names every value that is not a port', () => {
    const env = { MILLRACE_PORT_GATEWAY: '0', MILLRACE_PORT_LOADER: '80a' }
    expect(() => servicePortsFromEnv(env)).toThrow(
      "MILLRACE_PORT_GATEWAY is '0', not a port (1 to 65535); MILLRACE_PORT_LOADER is '80a', not a port (1 to 65535)"
    )
  })
})
