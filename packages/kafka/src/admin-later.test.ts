import { describe, expect, it } from 'vitest'
import { AppError } from '@millrace/kernel'
import { adminLater } from './admin-later.ts'
import type { Admin } from './port.ts'

describe('adminLater', () => {
  it('opens one client at the first call that succeeds', async () => {
    let opened = 0
    // Only the two methods that are handed out are called.
    const client = { listTopics: async () => ['a'], brokerCount: async () => 3 } as unknown as Admin
    const admin = adminLater({
      admin: async () => {
        opened++
        if (opened === 1) throw new AppError('PIPE_KAFKA_UNAVAILABLE', 'down')
        return client
      }
    })
    expect(opened).toBe(0)
    await expect(admin.brokerCount()).rejects.toThrow('down')
    expect(await Promise.all([admin.brokerCount(), admin.listTopics()])).toEqual([3, ['a']])
    expect(opened).toBe(2)
  })
})
