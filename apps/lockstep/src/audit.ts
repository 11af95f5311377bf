/** `audit`: computes the steps of a recorded run again, and names the first that is wrong. */
import { availableParallelism } from 'node:os';
import {
  dataOptions,
  fleetOf,
  fleetOptions,
  fractionKind,
  generalOptions,
  operands,
  readCommandLine,
  readInputFile,
  readOptionBytes,
  shownLine,
  textKind,
  textLike,
  thousands,
  threads,
  usageFailure,
  type ValuesOf,
} from '@lockstep/command';
import { DataError } from '@lockstep/data';
import { errorMessage } from '@lockstep/data/shown';
import { openFleet } from '@lockstep/fleet';
import { type AuditOptions, audit, TranscriptError } from '@lockstep/train';
import { maxModelFileBytes, maxTranscriptBytes, readStoredModel } from '@lockstep/train/command-line';

const commandLine = {
  name: 'audit',
  args: 'FILE|--fleet URL [options]',
  summary: `Computes the steps of a run again from its transcript and its data, and names the first wrong step and who computed it.
Exit code 0: nothing is wrong. 1: a step is wrong. 2: the run cannot be audited.`,
  options: {
    files: operands('FILE', 'transcript, as written by --transcript'),
    data: {
      ...dataOptions.data,
      help: "the run's data, read with the run's options",
      defaultText: 'those of a run without --data',
    },
    rate: {
      kind: fractionKind,
      help: 'compute only this fraction of the steps, in random spans from one checkpoint to the next',
      with: { oneOf: ['checkpoint'], expected: '--checkpoint DIR, whose checkpoints the spans begin with' },
    },
    against: {
      kind: textKind,
      placeholder: 'FILE',
      help: 'another transcript of the same run: find the first difference by bisection, and compute only that step',
      without: { rate: 'which draws steps at random' },
    },
    checkpoint: { kind: textKind, placeholder: 'DIR', help: 'checkpoints of the run, to begin at' },
    load: {
      kind: textKind,
      placeholder: 'FILE.safetensors',
      help: 'model file whose weights must be those that the run ended with',
    },
    init: { kind: textKind, placeholder: 'FILE.safetensors', help: "the run's --init, if it had one" },
    key: {
      kind: textLike('64 hexadecimal digits', /^[0-9a-f]{64}(,[0-9a-f]{64})*$/i, 'HEX'),
      help: 'public key that must have signed the transcript; in a fleet those of all leaders, separated by commas',
      defaultText: 'the keys in the transcript',
    },
    threads: { kind: threads, help: 'compute threads', defaultText: 'all cores' },
    ...fleetOptions,
    ...generalOptions,
  },
} as const;

type Values = ValuesOf<typeof commandLine.options>;

const progressEveryMs = 10_000;

/** @returns the exit code */
export async function auditFile(args: readonly string[]): Promise<number> {
  const values = readCommandLine(commandLine, args);
  if (!values) return 0;
  const options = auditOptionsOf(values);
  const { place, bytes } = await transcriptOf(values);
  try {
    const { isRight, sentence, led, comparisons, reachedSteps, checkedSteps } = await audit(bytes, options);
    for (const { name, publicKey, from, to } of led) {
      if (name === undefined) continue;
      const steps = `Steps ${thousands(from)} to ${thousands(to)}`;
      process.stdout.write(`${steps}: signed by the leader ${shownLine(name)}, key ${publicKey}\n`);
    }
    const computed = `${thousands(checkedSteps)} steps computed shard by shard, ${thousands(reachedSteps)} at once`;
    if (values.against !== undefined) process.stdout.write(`${comparisons} comparisons of states, ${computed}\n`);
    process.stdout.write(`${shownLine(sentence, sentenceLength)}\n`);
    return isRight ? 0 : 1;
  } catch (error) {
    if (error instanceof TranscriptError) throw usageFailure(`${place}: ${error.message}`);
    if (error instanceof DataError) throw usageFailure(`--data: ${error.message}`);
    throw error;
  }
}

const sentenceLength = 1_000;

/** The transcript in a file or in a fleet's store. @throws CommandFailure or FleetError */
async function transcriptOf(values: Values): Promise<{ readonly place: string; readonly bytes: Uint8Array }> {
  const [file] = values.files;
  const where = fleetOf(values);
  const count = values.files.length + (where ? 1 : 0);
  if (count !== 1) throw usageFailure(`audit: expected one transcript, got ${count}`);
  if (!where) return { place: file!, bytes: readInputFile(file!, maxTranscriptBytes) };
  const fleet = await openFleet({ ...where, role: 'coordinator' });
  try {
    const place = `run ${where.run ?? 'default'} of the fleet at ${fleet.place}`;
    const bytes = await fleet.transcript();
    if (bytes) return { place, bytes };
    throw usageFailure(`${place}: expected a transcript, got none: its coordinators run without --transcript`);
  } finally {
    await fleet.close();
  }
}

function auditOptionsOf(values: Values): AuditOptions {
  const { data, init, load, checkpoint: states, rate, against, key, threads: count = availableParallelism() } = values;
  let toldAtMs = performance.now();
  return {
    ...{ data, rate, states, threads: count, publicKeys: key?.split(',') },
    initialWeights: init === undefined ? undefined : readOptionBytes('init', init, maxModelFileBytes),
    against: against === undefined ? undefined : readOptionBytes('against', against, maxTranscriptBytes),
    weightsSha256: load === undefined ? undefined : weightsOf(load),
    onStep(done, of) {
      if (performance.now() - toldAtMs < progressEveryMs) return;
      toldAtMs = performance.now();
      process.stdout.write(`  ${thousands(done)} of ${thousands(of)} steps\n`);
    },
  };
}

/** The SHA-256 of a model's weights. @throws CommandFailure with exit code 2 */
function weightsOf(file: string): string {
  const bytes = readOptionBytes('load', file, maxModelFileBytes);
  try {
    return readStoredModel(bytes).weightsSha256;
  } catch (error) {
    throw usageFailure(`--load ${file}: ${errorMessage(error)}`);
  }
}
