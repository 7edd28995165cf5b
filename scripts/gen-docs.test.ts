import { describe, expect, it } from 'vitest'
import { bytes, int, list, ms, secret } from '@millrace/config'
import { defaultText, generate, table } from './gen-docs.ts'

describe('reference', () => {
  it('writes defaults the way the fields read them', () => {
    const field = { doc: 'x' }
    expect(
      [ms({ ...field, default: 93_600_000 }), ms({ ...field, default: 1_500 }), ms({ ...field, default: 0 })].map(
        defaultText
      )
    ).toEqual(['26h', '1500', '0'])
    expect(
      [bytes({ ...field, default: 16 * 1024 ** 2 }), bytes({ ...field, default: 1_000 })].map(defaultText)
    ).toEqual(['16MiB', '1000'])
    expect(
      [int({ ...field, default: 60_000 }), list({ ...field, default: ['a', 'b'] }), secret(field)].map(defaultText)
    ).toEqual(['60000', 'a,b', ''])
  })

  it('escapes what would end a cell', () => {
    expect(table(['a'], [['x|y']])).toBe('| a |\n| --- |\n| x\\|y |')
  })

  it('never prints the default of a secret or of a URL', async () => {
    const { 'docs/reference.md': reference = '', '.env.example': example = '' } = await generate()
    expect(reference).toContain('### gateway')
    expect(reference).toContain('`PIPE_CONFIG_INVALID`')
    expect(example).toMatch(/^KAFKA_BROKERS=$/m)
    expect(`${reference}${example}`).not.toMatch(/:\/\/[^ ]*:[^ ]*@/)
  })
})
