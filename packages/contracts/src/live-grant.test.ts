import { describe, expect, it } from 'vitest'
import { decodeLiveGrant, encodeLiveGrant } from './live-grant.ts'

const grant = {
  projectId: 'shop',
  allow: ['metrics', 'events'],
  personal: false,
  origins: ['https://shop.example']
} as const

describe('grants of the live feed', () => {
  it('come back as they were encoded', () => {
    expect(decodeLiveGrant(encodeLiveGrant(grant))).toEqual(grant)
    expect(decodeLiveGrant(encodeLiveGrant({ ...grant, keyId: 'k1' }))).toEqual({ ...grant, keyId: 'k1' })
  })

  it('permit nothing that this version does not know', () => {
    expect(decodeLiveGrant(JSON.stringify({ ...grant, allow: ['metrics', 'everything'] }))?.allow).toEqual(['metrics'])
  })

  it.each(['', 'null', '[]', '{"projectId":1}', '{"projectId":"shop","allow":[],"personal":"yes","origins":[]}'])(
    'are not read from %s',
    (text) => {
      expect(decodeLiveGrant(text)).toBeUndefined()
    }
  )
})
