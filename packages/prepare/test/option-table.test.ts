/** The option table is consistent, and the docstrings of the library's options agree with it. */
import { readFileSync } from 'node:fs';
import type { Option, Options } from '@lockstep/command';
import { workerCommand } from '@lockstep/worker/options';
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { relayCommand } from '../../relay/src/relay.ts';
import { runCommands, runOptions } from '../src/option-table.ts';

const commands = [...Object.values(runCommands), relayCommand, workerCommand];

describe.each(commands)('the options of $name', ({ options }: { readonly options: Options }) => {
  it('have defaults of their kinds', () => {
    const all = Object.entries(options).filter(([, option]) => option.default !== undefined);
    expect(all.filter(([, option]) => !v.is(option.kind.schema, option.default))).toEqual([]);
  });

  it('name options that there are as those they need, or do not go with', () => {
    const others = Object.values(options).flatMap(({ without = {}, with: needed }) => [
      ...Object.keys(without).map((words) => words.split(' ')[0]!),
      ...(needed?.oneOf ?? []),
    ]);
    expect(others.filter((name) => !Object.hasOwn(options, name))).toEqual([]);
  });
});

/** The docstrings of the properties of an interface. */
function docstringsOf(file: string, name: string): ReadonlyMap<string, string> {
  const source = readFileSync(new URL(file, import.meta.url), 'utf8');
  const [, body = ''] = new RegExp(`interface ${name} [^{]*\\{\n(.*?)\n\\}`, 's').exec(source) ?? [];
  const properties = body.matchAll(/\/\*\*((?:(?!\*\/).)*)\*\/\n {2}readonly (\w+)/gs);
  return new Map([...properties].map(([, text = '', property = '']) => [property, text.replace(/\s+\*?\s*/g, ' ')]));
}

/** The range and the default that an option's docstring must state. */
function factsOf({ kind, default: value }: Option): string[] {
  const [, range] = /number ((?:from|of|above)[^,]*)/.exec(kind.expected) ?? [];
  return [...(range === undefined ? [] : [range]), ...(value === undefined ? [] : [`by default ${value}`])];
}

const library = '../src/options.ts';
const places: Readonly<Record<string, Place>> = {
  '': [library, 'TrainOptions'],
  optimizer: [library, 'OptimizerOptions'],
  diloco: [library, 'DiLoCoOptions'],
  listen: [library, 'ListenOptions'],
  checkpoint: ['../../record/src/checkpoint.ts', 'CheckpointOptions'],
};

type Place = readonly [file: string, name: string];

/** @param inherited the interface from which the other one picks properties */
function documented(table: Options, placeOf: (object: string) => Place | undefined, inherited?: Place) {
  return Object.values(table).flatMap((option) => {
    const [property = '', ...objects] = option.library?.split('.').reverse() ?? [];
    const place = option.library === undefined ? undefined : placeOf(objects.reverse().join('.'));
    // The optimizer's type and its name are one option.
    if (!place || option.library === 'optimizer.type') return [];
    const places = inherited ? [place, inherited] : [place];
    const [text] = places.flatMap((each) => docstringsOf(...each).get(property) ?? []);
    return [{ path: option.library!, option, text }];
  });
}

const top = (place: Place) => (object: string) => (object === '' ? place : undefined);
const joinOptions: Place = ['../../worker/src/join.ts', 'JoinOptions'];

describe('the docstring of', () => {
  it.each([
    ...documented(runOptions, (object) => places[object]),
    ...documented(relayCommand.options, top(['../../relay/src/relay.ts', 'RelayOptions']), joinOptions),
    ...documented(workerCommand.options, top(joinOptions)),
  ])('$path gives its range and default', ({ option, text }) => {
    expect(text).toBeDefined();
    for (const fact of factsOf(option)) expect(text!.replaceAll('`', '').toLowerCase()).toContain(fact);
  });
});
