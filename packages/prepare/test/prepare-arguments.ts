/** Prepared runs from command-line arguments. */
import { parseOptions } from '@lockstep/command';
import { trainOptionsOf } from '../../../apps/coordinator/src/run-options.ts';
import { nodePlatform } from '../../train/src/node-platform.ts';
import { runOptions } from '../src/option-table.ts';
import type { TrainOptions } from '../src/options.ts';
import { prepare } from '../src/prepare.ts';
import type { Prepared } from '../src/prepared.ts';

/** A run requested by a command line, or by the library's options. */
export type Asked = readonly string[] | TrainOptions;

export function prepareAsked(asked: Asked): Promise<Prepared> {
  return 'length' in asked ? prepareArguments(asked) : prepare(asked, nodePlatform);
}

export function prepareArguments(args: readonly string[]): Promise<Prepared> {
  return prepare(trainOptionsOf(parseOptions(runOptions, args)), nodePlatform);
}
