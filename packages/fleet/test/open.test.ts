import { describe, expect, it } from 'vitest';
import { openFleet } from '../src/index.ts';
import { parseServers } from '../src/nats.ts';

describe('parseServers', () => {
  it.each([
    ['nats://127.0.0.1:4222', ['127.0.0.1:4222'], false, 'nats://127.0.0.1:4222'],
    [
      'nats://a.example,tls://b.example:5/',
      ['a.example:4222', 'b.example:5'],
      true,
      'nats://a.example:4222,tls://b.example:5',
    ],
    ['nats://[::1]:4222', ['[::1]:4222'], false, 'nats://[::1]:4222'],
    ['tls://user:p%40ss@a.example', ['a.example:4222'], true, 'tls://a.example:4222'],
  ])('%s', (text, list, tls, place) => {
    expect(parseServers(text)).toMatchObject({ list, tls, place });
  });

  it('takes user and password out', () => {
    expect(parseServers('nats://user:p%40ss@a.example')?.login).toEqual({ user: 'user', pass: 'p@ss' });
  });

  it.each([
    '',
    'a.example',
    'http://a.example',
    'nats://',
    'nats://a.example/path',
    'nats://a.example,',
    'nats://a:99999',
  ])('%s is none', (text) => {
    expect(parseServers(text)).toBeUndefined();
  });
});

describe('openFleet refuses in one sentence that shows no secret', () => {
  const secret = 'hunter2';
  it.each<[object, RegExp, string]>([
    [
      { servers: `http://user:${secret}@a` },
      /^expected addresses like nats:\/\/127\.0\.0\.1:4222, separated by commas/,
      'fleet',
    ],
    [{ servers: 'nats://a', run: 'a.b' }, /^expected 1 to 64 letters, digits, - and _, got a\.b$/, 'run'],
    [
      { servers: 'nats://a', credentials: secret },
      /^expected a \.creds file, an nkey seed, or user:pass/,
      'fleet-credentials',
    ],
    [
      { servers: `nats://user:${secret}@127.0.0.1:1` },
      /^the fleet at nats:\/\/127\.0\.0\.1:1 cannot be reached: .*refused/,
      'fleet',
    ],
  ])('%j', async (options, message, option) => {
    const error = await openFleet({ servers: '', role: 'coordinator', ...options }).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ name: 'FleetError', option });
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).not.toMatch(secret);
    expect((error as Error).message).not.toContain('\n');
  });
});
