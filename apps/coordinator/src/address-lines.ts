/** Where a run can be joined, watched and controlled, as lines for the person at this terminal. */
import { commandText } from '@lockstep/command';
import type { ListeningEvent } from '@lockstep/train';
import { isLoopback } from '@lockstep/train/command-line';
import { renderUnicodeCompact } from 'uqr';

/** One word as a shell takes it: zsh looks for files where a `?` stands, and `&` ends a command. */
function shellWord(text: string): string {
  return /^[\w:/.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Secrets are printed here and nowhere else: they are for the person at this terminal. */
export function addressLines({ addresses, host, port, wantedPort, token, fingerprint }: ListeningEvent): string[] {
  const lines = [
    ...(wantedPort === 0 || port === wantedPort ? [] : [`Port ${wantedPort} is in use, listening on ${port}.`]),
    `Join with: ${environmentOf(token)}${commandText('worker', `--url ${shellWord(addresses.worker)}`)}`,
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

/** Puts the token before a command, where no list of processes shows it. */
function environmentOf(token: string | undefined): string {
  return token === undefined ? '' : `LOCKSTEP_TOKEN=${shellWord(token)} `;
}
