/** Addresses to join, watch and control a run, as lines for the person at this terminal. */
import { commandText, shellWord, tokenBefore } from '@lockstep/command';
import type { ListeningEvent } from '@lockstep/train';
import { isLoopback } from '@lockstep/train/command-line';
import { renderUnicodeCompact } from 'uqr';

/** Secrets are printed here and nowhere else: they are for the person at this terminal. */
export function addressLines({ addresses, host, port, wantedPort, token, fingerprint }: ListeningEvent): string[] {
  const lines = [
    ...(wantedPort === 0 || port === wantedPort ? [] : [`Port ${wantedPort} is in use, listening on ${port}.`]),
    `Join with: ${tokenBefore(token)}${commandText('worker', `--url ${shellWord(addresses.worker)}`)}`,
    `Join in a browser: ${addresses.page}`,
    `Dashboard: ${addresses.owner}`,
  ];
  if (fingerprint !== undefined) {
    const pairs = fingerprint.toUpperCase().match(/../g) ?? [];
    lines.push(`The certificate was made for this run, so browsers warn; its SHA-256 is ${pairs.join(':')}`);
  }
  if (!isLoopback(host) && process.stdout.isTTY) lines.push('', renderUnicodeCompact(addresses.page));
  return lines;
}
