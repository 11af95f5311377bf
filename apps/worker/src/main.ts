/** The Node worker's program: reads its options, opens its compute, and joins a run. */
import { createHash } from 'node:crypto';
import { CommandFailure, commandText, readCommandLine, runMain, tokenFrom } from '@lockstep/command';
import { openChecksum } from '@lockstep/protocol';
import type { MembershipEnd } from '@lockstep/training';
import { ConfigurationError, connect, openCompute, requireThreads, systemClock } from '@lockstep/worker';
import { join } from './join.ts';
import { summary, usage, workerOptions } from './options.ts';

const progressEveryMs = 30_000;

async function main(): Promise<number> {
  const options = readCommandLine({ usage, summary, options: workerOptions }, process.argv.slice(2));
  if (!options) return 0;
  if (options.url === undefined) {
    throw new CommandFailure('--url: expected the address that the coordinator printed, like ws://127.0.0.1:7070', 2);
  }
  requireThreads(options.backend, options.threads);
  const { url, token, fingerprint } = addressOf(options.url, tokenFrom(options, process.env['LOCKSTEP_TOKEN']));
  const interrupted = interruption();
  exitWithParent();
  const { compute, refused, choice } = await openCompute(options.backend, options.threads).catch((error: Error) => {
    throw new CommandFailure(`--backend ${options.backend}: ${error.message}`, 2);
  });
  const log = (message: string): void => void process.stderr.write(`worker ${options.name}: ${message}\n`);
  for (const message of refused) log(message);
  try {
    const end = await join({
      compute,
      choice,
      clock: systemClock,
      name: options.name,
      token,
      waitForCoordinator: options.wait,
      // A coordinator shows its own workers' last line where they fail.
      progressEveryMs: process.send ? Number.POSITIVE_INFINITY : progressEveryMs,
      checksum: await openChecksum(),
      hash: (bytes) => createHash('sha256').update(bytes).digest('hex'),
      connect: () => connect(url, fingerprint),
      signal: interrupted,
      log,
    });
    return interrupted.aborted ? 130 : exitCodeOf(end, url, log);
  } finally {
    await compute.close();
  }
}

/** Aborted when the process gets SIGINT or SIGTERM. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  process.on('SIGINT', () => controller.abort());
  process.on('SIGTERM', () => controller.abort());
  return controller.signal;
}

/** Ends this process with the coordinator that started it, where one did. */
function exitWithParent(): void {
  if (!process.send) return;
  process.on('disconnect', () => process.exit(1));
  // The channel must not keep alive a worker that has nothing else to do.
  process.channel?.unref();
}

/** Splits a join address, so that its secrets are never printed; a token that is given comes before the address. */
function addressOf(address: string, given: string | undefined) {
  const url = new URL(address);
  const token = given ?? url.searchParams.get('token') ?? undefined;
  const fingerprint = process.env['LOCKSTEP_FINGERPRINT'] ?? url.searchParams.get('fingerprint') ?? undefined;
  url.searchParams.delete('token');
  url.searchParams.delete('fingerprint');
  return { url: url.href, token, fingerprint: url.protocol === 'wss:' ? fingerprint : undefined };
}

function exitCodeOf(end: MembershipEnd, url: string, log: (message: string) => void): number {
  switch (end.type) {
    case 'finished':
      log(end.message);
      return 0;
    case 'unreachable':
      throw new CommandFailure(
        `--url ${url}: ${end.message}; start one with ${commandText('coordinator')}, or wait for it with --wait`,
        2,
      );
    case 'refused':
      throw new CommandFailure(`the coordinator at ${url} refused: ${end.message}`, 2);
    case 'failed':
      throw new CommandFailure(end.message, 1);
    default:
      return end satisfies never;
  }
}

await runMain('worker', main, (error) =>
  error instanceof ConfigurationError ? error.messageWith((option) => `--${option}`) : undefined,
);
