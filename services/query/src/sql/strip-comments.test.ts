import { describe, expect, it } from 'vitest'
import { stripComments } from './strip-comments.ts'

describe('stripComments', () => {
  it.each([
    ['SELECT 1 -- x\nFROM t', 'SELECT 1     \nFROM t'],
    ['SELECT /* a\nb */ 1', 'SELECT     \n     1'],
    ["SELECT '-- no' # yes", "SELECT '-- no'      "],
    ["SELECT 'it\\'s /* no */'", "SELECT 'it\\'s /* no */'"],
    ['SELECT "a--b", `c/*d*/`', 'SELECT "a--b", `c/*d*/`'],
    ['SELECT 1 /* open', 'SELECT 1        '],
    ["SELECT 'open -- x", "SELECT 'open -- x"]
  ])('%j -> %j', (sql, expected) => {
    expect(stripComments(sql)).toBe(expected)
  })
})
