import { expect, it } from 'vitest';
import { joinAddress } from '../src/join-address.ts';

it.each<[given: string, url: string, token?: string, fingerprint?: string]>([
  ['ws://127.0.0.1:7070', 'ws://127.0.0.1:7070/'],
  ['ws://127.0.0.1:7070/?token=a%20b', 'ws://127.0.0.1:7070/', 'a b'],
  ['wss://host:1/lockstep/?fingerprint=0a&token=t', 'wss://host:1/lockstep/', 't', '0a'],
  ['http://127.0.0.1:7070/#join&token=a%20b', 'ws://127.0.0.1:7070/', 'a b'],
  ['http://127.0.0.1:7070/#join', 'ws://127.0.0.1:7070/'],
  ['https://host/lockstep/#admin=secret&token=t', 'wss://host/lockstep/', 't'],
  ['ws://[::1]:7070#token=t', 'ws://[::1]:7070/', 't'],
  ['ws://host/?fingerprint=0a', 'ws://host/'],
])('%s is %s', (given, url, token, fingerprint) => {
  expect(joinAddress(given, {})).toEqual({ url, token, fingerprint });
  expect(joinAddress(given, { token: 'given' }).token).toBe('given');
});

it.each(['', '127.0.0.1:7070', 'localhost:7070', 'ftp://host', 'ws:///path', 'ws://host:99999'])(
  '%j is refused',
  (given) => {
    const sentence = `url: expected an address like ws://127.0.0.1:7070, got ${given}`;
    expect(() => joinAddress(given, {})).toThrow(sentence);
  },
);
