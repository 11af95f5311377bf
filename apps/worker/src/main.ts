/** The Node worker: reads its options, opens its compute threads, and joins. */
import { createHash } from 'node:crypto';
import { CommandFailure, helpText, parseOptions, runMain } from '@lockstep/command';
import { openChecksum } from '@lockstep/protocol';
import { systemClock, threadsFault } from '@lockstep/train';
import { connect } from './connect.ts';
import { type JoinEnd, join } from './join.ts';
import { openCompute } from './open-compute.ts';
import { summary, usage, workerOptions } from './options.ts';

async function main(): Promise<number> {
  const options = parseOptions(workerOptions, process.argv.slice(2));
  if (options.help) {
    process.stdout.write(helpText(usage, summary, workerOptions));
    return 0;
  }
  if (options.url === undefined) {
    throw new CommandFailure('--url: expected the address that the coordinator printed, like ws://127.0.0.1:7070', 2);
  }
  const tooMany = threadsFault(options.backend, options.threads);
  if (tooMany !== undefined) throw new CommandFailure(tooMany, 2);
  const { url, token, fingerprint } = addressOf(options.url, options.token);

  const leaving = new AbortController();
  let isInterrupted = false;
  const leave = (): void => {
    isInterrupted = true;
    leaving.abort();
  };
  process.on('SIGINT', leave);
  process.on('SIGTERM', leave);
  // Started by a coordinator: when that is gone, this worker has nothing to wait for.
  if (process.send) {
    process.on('disconnect', () => process.exit(1));
    // Listening to the channel must not keep a worker alive that has nothing else to do.
    process.channel?.unref();
  }

  const { compute, refused, choice } = await openCompute(options.backend, options.threads).catch((error: Error) => {
    throw new CommandFailure(`--backend ${options.backend}: ${error.message}`, 2);
  });
  const say = (message: string): void => void process.stderr.write(`worker ${options.name}: ${message}\n`);
  for (const message of refused) say(message);
  try {
    const end = await join({
      compute,
      choice,
      clock: systemClock,
      name: options.name,
      token,
      checksum: await openChecksum(),
      hash: (bytes) => createHash('sha256').update(bytes).digest('hex'),
      connect: () => connect(url, fingerprint),
      signal: leaving.signal,
      say,
    });
    return isInterrupted ? 130 : exitCodeOf(end, url, say);
  } finally {
    await compute.close();
  }
}

interface Address {
  readonly url: string;
  readonly token: string | undefined;
  readonly fingerprint: string | undefined;
}

/**
 * Token and fingerprint may stand in the address, as in the join address, or by themselves; neither stays in what is
 * asked for or printed.
 */
function addressOf(address: string, given: string | undefined): Address {
  const url = new URL(address);
  const token = given ?? process.env['LOCKSTEP_TOKEN'] ?? url.searchParams.get('token') ?? undefined;
  const fingerprint = process.env['LOCKSTEP_FINGERPRINT'] ?? url.searchParams.get('fingerprint') ?? undefined;
  url.searchParams.delete('token');
  url.searchParams.delete('fingerprint');
  return { url: url.href, token, fingerprint: url.protocol === 'wss:' ? fingerprint : undefined };
}

function exitCodeOf(end: JoinEnd, url: string, say: (message: string) => void): number {
  switch (end.type) {
    case 'finished':
      say(end.message);
      return 0;
    case 'unreachable':
      throw new CommandFailure(`--url ${url}: ${end.message}; start one with npm run coordinator`, 2);
    case 'refused':
      throw new CommandFailure(`the coordinator at ${url} refused: ${end.message}`, 2);
    case 'failed':
      throw new CommandFailure(end.message, 1);
    default:
      return end satisfies never;
  }
}

await runMain('worker', main);
