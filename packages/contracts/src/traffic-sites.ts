// What media, sources, click ids and sites stand for: data of traffic-source.ts. All names are lower case. A change
// raises ENRICH_VERSION.
import type { TrafficSource } from './traffic-source.ts'

type Classes = Readonly<Record<string, TrafficSource>>

/** By utm_medium. */
export const mediaClasses: Classes = {
  cpc: 'paid',
  ppc: 'paid',
  cpm: 'paid',
  cpv: 'paid',
  cpa: 'paid',
  paid: 'paid',
  ads: 'paid',
  ad: 'paid',
  paidsearch: 'paid',
  'paid-search': 'paid',
  paid_search: 'paid',
  paidsocial: 'paid',
  'paid-social': 'paid',
  paid_social: 'paid',
  retargeting: 'paid',
  remarketing: 'paid',
  display: 'paid',
  banner: 'paid',
  email: 'email',
  'e-mail': 'email',
  mail: 'email',
  newsletter: 'email',
  social: 'social',
  'social-media': 'social',
  social_media: 'social',
  'social-network': 'social',
  sm: 'social',
  affiliate: 'affiliate',
  affiliates: 'affiliate',
  partner: 'affiliate',
  organic: 'search',
  referral: 'referral'
}

/** By utm_source, when the medium says nothing. */
export const sourceClasses: Classes = {
  email: 'email',
  newsletter: 'email',
  mailchimp: 'email',
  facebook: 'social',
  fb: 'social',
  instagram: 'social',
  ig: 'social',
  twitter: 'social',
  linkedin: 'social',
  pinterest: 'social',
  reddit: 'social',
  tiktok: 'social',
  youtube: 'social'
}

/** By a parameter that an advertiser's system adds to the link that was clicked. */
export const clickIds: readonly string[] = [
  'gclid',
  'gbraid',
  'wbraid',
  'dclid',
  'msclkid',
  'ttclid',
  'twclid',
  'li_fat_id',
  'yclid'
]

/** By host or a domain that it ends in; the longest counts. */
export const siteClasses: Classes = {
  'duckduckgo.com': 'search',
  'ecosia.org': 'search',
  'qwant.com': 'search',
  'startpage.com': 'search',
  'search.brave.com': 'search',
  'kagi.com': 'search',
  'mojeek.com': 'search',
  'ask.com': 'search',
  'search.aol.com': 'search',
  'so.com': 'search',
  'sogou.com': 'search',
  'sm.cn': 'search',
  'naver.com': 'search',
  'search.daum.net': 'search',
  'seznam.cz': 'search',
  'com.google.android.googlequicksearchbox': 'search',
  'mail.google.com': 'email',
  'mail.yahoo.com': 'email',
  'outlook.live.com': 'email',
  'outlook.office.com': 'email',
  'outlook.office365.com': 'email',
  'mail.yandex.ru': 'email',
  'e.mail.ru': 'email',
  'mail.proton.me': 'email',
  'mail.aol.com': 'email',
  'mail.zoho.com': 'email',
  'com.google.android.gm': 'email',
  'facebook.com': 'social',
  'fb.com': 'social',
  'fb.me': 'social',
  'messenger.com': 'social',
  'instagram.com': 'social',
  'threads.net': 'social',
  'threads.com': 'social',
  'twitter.com': 'social',
  'x.com': 'social',
  't.co': 'social',
  'linkedin.com': 'social',
  'lnkd.in': 'social',
  'reddit.com': 'social',
  'redd.it': 'social',
  'pinterest.com': 'social',
  'pin.it': 'social',
  'tiktok.com': 'social',
  'youtube.com': 'social',
  'youtu.be': 'social',
  'snapchat.com': 'social',
  'tumblr.com': 'social',
  'vk.com': 'social',
  'ok.ru': 'social',
  'weibo.com': 'social',
  'xing.com': 'social',
  'quora.com': 'social',
  'discord.com': 'social',
  'bsky.app': 'social',
  'mastodon.social': 'social',
  'news.ycombinator.com': 'social',
  't.me': 'social',
  'whatsapp.com': 'social',
  'com.facebook.katana': 'social',
  'com.instagram.android': 'social',
  'com.linkedin.android': 'social',
  'com.twitter.android': 'social',
  'org.telegram.messenger': 'social'
}

/** Search engines with a domain in many countries, such as google.co.uk. */
export const worldwideSearch: ReadonlySet<string> = new Set(['google', 'bing', 'yahoo', 'yandex', 'baidu'])

/** Parts of such an engine that are its search; its other parts are sites like any other. */
export const searchHosts: ReadonlySet<string> = new Set(['', 'search', 'images', 'm', 'cn', 'r', 'ya'])
