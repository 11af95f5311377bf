/** The bytes of a transcript: every truncation and every flipped bit is named, and a run continues its own. */
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { audit, type TrainOptions, train } from '../../train/src/index.ts';
import { temporaryFolder } from '../../train/test/folder.ts';
import { hashAlone, tiny } from '../../train/test/open-run.ts';
import { tinyData } from '../../train/test/tiny-dataset.ts';
import { readTranscript, TranscriptError } from '../src/read-transcript.ts';
import { forgeRun } from './recorded-run.ts';

const data = tinyData;
const folder = temporaryFolder();
const options = { ...tiny, microbatch: 4, threads: 1 } satisfies TrainOptions;
const forged = await forgeRun(folder, { ...options, steps: 6 }, { back: { from: 4, to: 2 }, sealEvery: 2 });

const another = await forgeRun(folder, { ...options, steps: 1, seed: 2 });

/** The error of a file; undefined if it is a whole transcript. */
function errorOf(bytes: Uint8Array): TranscriptError | undefined {
  try {
    readTranscript(bytes);
    return undefined;
  } catch (error) {
    if (error instanceof TranscriptError) return error;
    throw error;
  }
}

const sentence = /^expected .+, got .+$/;

describe('the bytes of a transcript', () => {
  const { bytes } = forged;
  const whole = readTranscript(bytes);

  it('are at most 64 for each shard, besides the header, workers, seals and the end', async () => {
    for (const microbatch of [2, 16]) {
      const steps = 512;
      const shards = 16 / microbatch;
      const run = { ...options, microbatch, epochs: 1_000 };
      const [long, short] = [
        await forgeRun(folder, { ...run, steps }),
        await forgeRun(folder, { ...run, steps: steps / 2 }),
      ];
      expect((long.bytes.length - short.bytes.length) / (shards * (steps / 2))).toBeLessThanOrEqual(64);
    }
  });

  it('name every truncation, or give the transcript of a run that has not ended', () => {
    const ends = new Set<number>();
    for (let length = 0; length < bytes.length; length++) {
      const error = errorOf(bytes.subarray(0, length));
      if (error) {
        expect(error.message).toMatch(/^expected a seal at the end, got [\d,]+ bytes without one .+: the file is torn/);
        expect([0, ...ends]).toContain(error.sealedBytes);
      } else {
        ends.add(length);
        expect(readTranscript(bytes.subarray(0, length))).toMatchObject({ end: undefined });
      }
    }
    // After the header, after every second step of both passes, and after going back from an odd one.
    expect(ends.size).toBe(5);
  });

  it('name every flipped bit', () => {
    for (let at = 0; at < 8 * bytes.length; at += 5) {
      const changed = bytes.slice();
      changed[at >> 3]! ^= 1 << (at & 7);
      expect(errorOf(changed)?.message).toMatch(sentence);
    }
  });

  it('name bytes that were inserted, left out, repeated or exchanged', () => {
    const middle = Math.floor(bytes.length / 2);
    const [left, right] = [bytes.subarray(0, middle), bytes.subarray(middle)];
    for (const parts of [
      [left, [7], right],
      [left.subarray(1), right],
      [left, left, right],
      [right, left],
    ]) {
      expect(errorOf(Buffer.concat(parts.map((part) => Uint8Array.from(part))))?.message).toMatch(sentence);
    }
  });

  it('name another kind of file, and a transcript of another version', () => {
    expect(errorOf(Buffer.from('{"lockstep":"0.1.0"}'))?.message).toBe(
      'expected a transcript, got another kind of file',
    );
    expect(errorOf(Buffer.from('lockstep-transcript.v3\nwhatever'))?.message).toBe(
      'expected a transcript in format v2, got format "v3": another version of Lockstep wrote it',
    );
  });

  it.each(['data', 'seed'])('name a header whose identity lacks its %s', (name) => {
    const [before, after] = [`"${name}":`, `"${name.toUpperCase()}":`];
    const text = Buffer.from(bytes).toString('latin1').replace(before, after);
    expect(errorOf(rechained(Buffer.from(text, 'latin1')))?.message).toMatch(/^expected a record with all its fields/);
  });

  it('name a seal of another key', async () => {
    const other = await forgeRun(folder, { ...options, steps: 6 });
    const text = Buffer.from(bytes).toString('latin1').replace(forged.publicKey, other.publicKey);
    // The chain is that of the other header: only the signature is wrong.
    expect(errorOf(rechained(Buffer.from(text, 'latin1')))?.message).toMatch(
      /^expected a signature with the key [0-9a-f]{16}… at the seal after step 0, got a wrong one/,
    );
  });

  it('hold the steps that stand', () => {
    expect(whole.steps.map(({ step }) => step)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(whole.seals.map(({ steps }) => steps)).toEqual([0, 2, 4, 6, 6]);
  });
});

/** Gives every record the link of the chain again. */
function rechained(bytes: Uint8Array): Uint8Array {
  const file = Buffer.from(bytes);
  const start = file.indexOf('\n') + 1;
  let hash = createHash('sha256').update(file.subarray(0, start)).digest();
  for (let at = start; at < file.length; ) {
    const end = at + 5 + file.readUInt32LE(at + 1);
    hash = createHash('sha256').update(hash).update(file.subarray(at, end)).digest();
    file.set(hash.subarray(0, 12), end);
    at = end + 12;
  }
  return file;
}

/** Bytes up to the seal before the first step. */
function beginningBytes(bytes: Uint8Array): number {
  return bytes.findIndex((_, length) => errorOf(bytes.subarray(0, length)) === undefined);
}

describe('a resumed run', () => {
  /** A run that was stopped after step 25 of 60, with checkpoints; `resume` continues it. */
  async function interrupted(name: string) {
    const checkpoint = { folder: join(folder, name), every: { steps: 10 } };
    const file = join(folder, `${name}.transcript`);
    const run = { ...options, epochs: 10, checkpoint, transcript: file } satisfies TrainOptions;
    const stopping = new AbortController();
    const onStep = ({ step }: { readonly step: number }): void => {
      if (step === 25) stopping.abort();
    };
    await train({ ...run, signal: stopping.signal, onStep }).result;
    const resume = (others: TrainOptions = {}) =>
      train({ ...run, checkpoint: { ...checkpoint, resume: true }, ...others }).result;
    return { file, checkpoints: checkpoint.folder, resume };
  }

  it('continues its transcript, with the same key', async () => {
    const { file, resume } = await interrupted('resumed');
    const before = readTranscript(readFileSync(file));
    expect(before).toMatchObject({ end: { outcome: 'stopped', step: 25 } });
    const { report } = await resume();
    const bytes = readFileSync(file);
    expect(readTranscript(bytes)).toMatchObject({
      header: { publicKey: before.header.publicKey },
      backs: [{ to: 25, cause: 'resumed', steps: 60 }],
      end: { outcome: 'finished', step: 60, weightsSha256: report.weightsSha256 },
    });
    expect(await audit(bytes, { data })).toMatchObject({ isRight: true, checkedSteps: 60 });
  });

  it('continues after a torn write, and from an earlier checkpoint', async () => {
    const { file, checkpoints, resume } = await interrupted('torn');
    const { steps } = readTranscript(readFileSync(file));
    expect(steps.length).toBe(25);
    const name = readdirSync(checkpoints)
      .filter((each) => each.endsWith('.safetensors'))
      .sort()
      .at(-1)!;
    rmSync(join(checkpoints, name));
    truncateSync(file, readFileSync(file).length - 7);
    appendFileSync(file, Buffer.alloc(100));
    const { report } = await resume();
    const bytes = readFileSync(file);
    const [back] = readTranscript(bytes).backs;
    expect(back!.to).toBeLessThan(25);
    expect(await audit(bytes, { data, weightsSha256: report.weightsSha256 })).toMatchObject({ isRight: true });
  });

  it('may take more steps than it was to take', async () => {
    const { file, resume } = await interrupted('longer');
    await resume({ epochs: 12 });
    const { sentence } = await audit(readFileSync(file), { data });
    expect(sentence).toMatch(/^All 72 steps are exact/);
  });

  const refused: Readonly<
    Record<string, readonly [spoil: (file: string, checkpoints: string) => void, sentence: string]>
  > = {
    'if its transcript is missing': [
      (file) => rmSync(file),
      'is-missing.transcript: no such file or folder; resume without ',
    ],
    'with the transcript of another run': [
      (file) => writeFileSync(file, another.bytes),
      'it belongs to another run: expected seed 1, got 2',
    ],
    'without its key': [
      (_, checkpoints) => rmSync(join(checkpoints, 'transcript-key')),
      'expected a transcript signed with the key in the folder of checkpoints, ',
    ],
    'with a transcript that ends before its checkpoint': [
      (file) => truncateSync(file, beginningBytes(readFileSync(file))),
      'expected the 25 steps that the run had taken, got 0',
    ],
    'with a file that is no transcript': [
      (file) => writeFileSync(file, 'text'),
      'expected a transcript, got another kind of file',
    ],
  };
  it.each(Object.entries(refused))('is refused %s', async (name, [spoil, sentence]) => {
    const { file, checkpoints, resume } = await interrupted(name.replaceAll(' ', '-'));
    spoil(file, checkpoints);
    await expect(resume()).rejects.toThrow(sentence);
  });
});

describe('a file that cannot be written', () => {
  it('is refused before the run begins', async () => {
    const transcript = join(folder, 'missing', 'run.transcript');
    await expect(train({ ...options, transcript }).result).rejects.toThrow(
      /^transcript: expected a file that can be written, got .*run\.transcript \(/,
    );
  });

  it('that another process changes costs the run nothing but its transcript, and the other nothing', async () => {
    const transcript = join(folder, 'shared.transcript');
    const run = train({
      ...options,
      epochs: 200,
      transcript,
      onStep: ({ step }) => step === 300 && truncateSync(transcript),
    });
    const told: string[] = [];
    for await (const event of run) if ('message' in event) told.push(event.message);
    expect((await run.result).outcome).toBe('finished');
    expect(told.filter((message) => message.startsWith('the transcript'))).toEqual([
      expect.stringMatching(/ at step \d+: another process has changed the file; training continues without it$/),
    ]);
    expect(readFileSync(transcript)).toHaveLength(0);
  });

  it.runIf(existsSync('/dev/full'))('costs the run nothing but its transcript', async () => {
    const run = train({ ...options, transcript: '/dev/full' });
    const told: string[] = [];
    for await (const event of run) if ('message' in event) told.push(event.message);
    expect((await run.result).report.weightsSha256).toBe(await hashAlone(options));
    const about = told.filter((message) => /transcript/i.test(message));
    expect(about).toEqual([
      expect.stringMatching(/^the transcript could not be written at step 0: .+; training continues without it$/),
    ]);
  });
});
