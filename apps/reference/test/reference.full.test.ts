/** Every public export has a docstring in the reference, which has no warning. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Comment, type DeclarationReflection, ReflectionKind } from 'typedoc';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { entries, type Reference, readReference } from '../src/reference.ts';

const longestLine = 99;
let reference: Reference;
let folder = '';

beforeAll(async () => {
  reference = await readReference();
  folder = await mkdtemp(join(tmpdir(), 'lockstep-reference-'));
  await reference.write(folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The comments of an export; for a function, those of its signatures. */
function commentsOf({ comment, signatures }: DeclarationReflection): (Comment | undefined)[] {
  return signatures ? signatures.map((signature) => signature.comment) : [comment];
}

/** The faults of an export's docstring. */
function faultOf(reflection: DeclarationReflection): string[] {
  return commentsOf(reflection).flatMap((comment) => {
    const [first = ''] = (comment?.summary ?? [])
      .map(({ text }) => text)
      .join('')
      .split('\n');
    if (first === '') return [`${reflection.getFullName()}: no docstring`];
    return first.length > longestLine ? [`${reflection.getFullName()}: a first line of ${first.length}: ${first}`] : [];
  });
}

describe('the API reference', () => {
  test('is made without a warning', () => {
    expect(reference.warnings).toEqual([]);
  });

  test.each(Object.keys(entries))('%s: every export has a docstring, whose first line is short', (name) => {
    const module = reference.project.getChildByName([name]) as DeclarationReflection;
    expect(module.children?.length).toBeGreaterThan(0);
    const own = module.children!.filter(({ kind }) => kind !== ReflectionKind.Reference);
    expect(own.flatMap(faultOf)).toEqual([]);
  });

  test.each([
    ['@lockstep/train', 'train', 'TrainOptions'],
    ['@lockstep/train', 'loadModel', 'LoadModelOptions'],
    ['@lockstep/worker', 'join', 'JoinOptions'],
    ['@lockstep/tensor', 'mean', 'ReduceOptions'],
  ])('%s: %s leads to its options', (module, name, options) => {
    const page = readFileSync(join(folder, `${module}.md`), 'utf8');
    const [, own = ''] = page.split(`\n### ${name}()\n`);
    expect(own.split('\n### ')[0]).toContain(`[\`${options}\`](#${options.toLowerCase()})`);
    expect(page).toContain(`\n### ${options}\n`);
  });
});
