import { describe, expect, it } from 'vitest'
import { arrivalOf, hostOf, pathOf, spellPath } from './page-url.ts'

const none = { source: '', medium: '', name: '', term: '', content: '' }

describe('hostOf', () => {
  it.each([
    ['https://www.Shop.example:8443/a', 'shop.example'],
    ['//shop.example?x', 'shop.example'],
    ['https://user:p@ss@shop.example', 'shop.example'],
    ['https://[::1]:80/', '[::1]'],
    ['https://[::1]/', '[::1]'],
    ['shop.example', ''],
    ['a/https://shop.example', 'shop.example'],
    ['', '']
  ])('of %s is %j', (url, host) => {
    expect(hostOf(url)).toBe(host)
  })
})

describe('pathOf', () => {
  it.each([
    ['https://shop.example/p/1?x=/y#z', '/p/1'],
    ['https://shop.example/p#a?b', '/p'],
    ['https://shop.example', '/'],
    ['https://shop.example?x=/y', '/'],
    ['https://shop.example/', '/'],
    ['https://shop.example/p/', '/p'],
    ['https://shop.example//p///1//', '/p/1'],
    ['https://shop.example/a/./b/../c', '/a/c'],
    ['https://shop.example/../..', '/'],
    ['https://shop.example/.well-known/x', '/.well-known/x'],
    ['https://shop.example/caf%C3%A9/%7Euser', '/café/~user'],
    ['https://shop.example/a%2Fb%3Fc', '/a%2Fb%3Fc'],
    ['https://shop.example/100%/x%C3', '/100%/x%C3'],
    ['//shop.example/a', '/a'],
    ['/a/b?c', '/a/b'],
    ['https://', ''],
    ['shop', ''],
    ['mailto:a@b', ''],
    ['', '']
  ])('of %s is %j', (url, path) => {
    expect(pathOf(url)).toBe(path)
  })

  it('does not change a path that it has spelled', () => {
    for (const url of ['https://h//a/../b/', 'https://h/caf%C3%A9', '/a//b/./c?x', 'https://h']) {
      expect(pathOf(pathOf(url))).toBe(pathOf(url))
    }
  })
})

describe('spellPath', () => {
  it.each([
    ['/a//b/?x#y', '/a/b'],
    ['//a/b', '/a/b'],
    ['home screen', 'home screen'],
    ['', '']
  ])('makes %s into %j', (given, path) => {
    expect(spellPath(given)).toBe(path)
  })
})

describe('arrivalOf', () => {
  it('reads the campaign of a query', () => {
    const url =
      'https://h/?a=1&utm_source=june&UTM_Medium=e-mail&utm_campaign=Sommer%20+%C3%BC&utm_term=t&utm_content=c#utm_source=x'
    expect(arrivalOf(url)).toEqual({
      campaign: { source: 'june', medium: 'e-mail', name: 'Sommer  ü', term: 't', content: 'c' },
      hasClickId: false
    })
  })

  it.each([
    ['the first of equal parameters', 'https://h/?utm_source=a&utm_source=b', { source: 'a' }],
    ['no empty parameter', 'https://h/?utm_source=&utm_medium&utm_term=x', { term: 'x' }],
    ['a broken escape as it stands', 'https://h/?utm_source=a%ZZ+b', { source: 'a%ZZ b' }],
    ['nothing of a fragment', 'https://h/#/route?utm_source=a', {}],
    ['no parameter of an object', 'https://h/?constructor=a&__proto__=b', {}],
    ['nothing without a query', 'https://h/utm_source=a', {}]
  ])('takes %s', (_, url, campaign) => {
    expect(arrivalOf(url)).toEqual({ campaign: { ...none, ...campaign }, hasClickId: false })
  })

  it('sees the click id of an advertiser', () => {
    expect(arrivalOf('https://h/?x=1&gclid=abc').hasClickId).toBe(true)
    expect(arrivalOf('https://h/?x=1&gclid=').hasClickId).toBe(false)
    expect(arrivalOf('https://h/?fbclid=abc').hasClickId).toBe(false)
  })

  it('cuts a value that is longer than an event may have', () => {
    expect(arrivalOf(`https://h/?utm_source=${'a'.repeat(5_000)}`).campaign.source).toBe('a'.repeat(255))
  })
})
