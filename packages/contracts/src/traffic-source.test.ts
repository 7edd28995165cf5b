import { describe, expect, it } from 'vitest'
import { classifyTraffic } from './traffic-source.ts'

const none = { source: '', medium: '', name: '', term: '', content: '' }
const classOf = ({ referrer = '', hasClickId = false, ...campaign }) =>
  classifyTraffic({
    url: 'https://www.shop.example/p/1',
    referrer,
    campaign: { ...none, ...campaign },
    hasClickId
  })

describe('classifyTraffic', () => {
  it.each([
    [{ medium: 'cpc', referrer: 'https://www.google.com/' }, 'paid'],
    [{ medium: 'Email' }, 'email'],
    [{ medium: 'social' }, 'social'],
    [{ medium: 'affiliate' }, 'affiliate'],
    [{ medium: 'organic' }, 'search'],
    [{ medium: 'referral', source: 'blog' }, 'referral'],
    [{ source: 'Facebook' }, 'social'],
    [{ source: 'facebook', medium: 'cpc' }, 'paid'],
    [{ source: 'newsletter' }, 'email'],
    [{ source: 'flyer' }, 'campaign'],
    [{ source: 'flyer', hasClickId: true }, 'paid'],
    [{ medium: 'constructor' }, 'campaign'],
    [{ medium: '__proto__', source: 'toString' }, 'campaign'],
    [{ name: 'sale' }, 'direct'],
    [{ hasClickId: true, referrer: 'https://www.google.com/' }, 'paid'],
    [{ referrer: 'not a url' }, 'direct'],
    [{}, 'direct']
  ])('puts a visit with %j into %s', (change, expected) => {
    expect(classOf(change)).toBe(expected)
  })

  it.each([
    ['https://www.google.co.uk/search?q=x', 'search'],
    ['https://www.google.de', 'search'],
    ['https://search.yahoo.co.jp/', 'search'],
    ['https://cn.bing.com/', 'search'],
    ['https://yandex.com.tr/', 'search'],
    ['https://m.baidu.com/s?wd=x', 'search'],
    ['https://duckduckgo.com', 'search'],
    ['https://html.duckduckgo.com/html', 'search'],
    ['android-app://com.google.android.googlequicksearchbox/', 'search'],
    ['https://docs.google.com/document', 'referral'],
    ['https://google.attacker.example/', 'referral'],
    ['https://google', 'referral'],
    ['https://mail.google.com/mail/u/0/', 'email'],
    ['https://e.mail.ru/', 'email'],
    ['android-app://com.google.android.gm', 'email'],
    ['https://m.facebook.com/x', 'social'],
    ['http://l.instagram.com/?u=x', 'social'],
    ['https://t.co/abc', 'social'],
    ['https://T.CO/abc', 'social'],
    ['https://notfacebook.com/x', 'referral'],
    ['https://facebook.com.evil.example/', 'referral'],
    ['https://user:pass@shop.example:8443/cart', 'internal'],
    ['https://WWW.shop.example', 'internal'],
    ['https://blog.example/post', 'referral'],
    ['https://...', 'referral'],
    ['android-app://com.unknown', 'referral'],
    ['https:///path', 'direct']
  ])('puts a visit from %s into %s', (referrer, expected) => {
    expect(classOf({ referrer })).toBe(expected)
  })
})
