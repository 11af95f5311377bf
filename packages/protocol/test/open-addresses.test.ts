/** Addresses in messages: only WebSocket addresses, without secrets. */
import { describe, expect, it } from 'vitest';
import { decode, encode } from '../src/codec.ts';
import type { Message } from '../src/messages.ts';
import { exampleOf } from './arbitraries.ts';
import { pack, refusalOf } from './refusals.ts';

describe('the addresses of a welcome', () => {
  const refusalOfAddresses = (addresses: unknown): string =>
    refusalOf(() => decode(pack({ ...exampleOf('welcome'), addresses }), 'coordinator'));

  it.each([
    ['another protocol', ['http://127.0.0.1:7070']],
    ['no host', ['ws://']],
    ['a user', ['ws://user:secret@127.0.0.1:7070']],
    ['a token', ['ws://127.0.0.1:7070/?token=secret']],
    ['a fragment', ['ws://127.0.0.1:7070/#token=secret']],
    ['more than eight', new Array<string>(9).fill('ws://127.0.0.1:7070')],
  ])('are refused with %s', (_, addresses) => {
    expect(refusalOfAddresses(addresses)).toMatch('expected at most 8 addresses of WebSockets without secrets');
  });

  it('may name the only certificate to trust', () => {
    const addresses = ['wss://[::1]:7070/?fingerprint=00ff', 'ws://relay.example:80'];
    const message = { ...(exampleOf('welcome') as Message), addresses } as Message;
    expect(decode(encode(message), 'coordinator')).toMatchObject({ addresses });
  });
});

describe('the address of a relay', () => {
  it('is refused with a token', () => {
    const status = { ...exampleOf('status'), address: 'ws://127.0.0.1:7070/?token=secret' };
    expect(refusalOf(() => decode(pack(status), 'worker'))).toMatch(
      'expected the address of a WebSocket without secrets',
    );
  });
});
