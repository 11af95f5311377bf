/** The addresses of a server, depending on the host that it listens on. */
import { expect, it } from 'vitest';
import { addressesOf, bareHost, isLoopback } from '../src/site/secrets.ts';

it.each([
  ['127.0.0.1', '127.0.0.1', true],
  ['localhost', 'localhost', true],
  ['::1', '[::1]', true],
  ['[::1]', '[::1]', true],
  ['[fe80::1]', '[fe80::1]', false],
  ['192.0.2.1', '192.0.2.1', false],
])('%s is %s in an address', (host, inAddress, isHere) => {
  expect(isLoopback(host)).toBe(isHere);
  const { worker, page } = addressesOf({ token: undefined, adminToken: 'a', tls: undefined }, bareHost(host), 7070);
  expect([worker, page]).toEqual([`ws://${inAddress}:7070`, `http://${inAddress}:7070/#join`]);
});
