/** Runs that could start, from the arguments of a command line. */
import { parseOptions } from '@lockstep/command';
import { commands } from '../../../apps/coordinator/src/options.ts';
import { trainOptionsOf } from '../../../apps/coordinator/src/train-options.ts';
import { nodePlatform } from '../src/node/node-platform.ts';
import { prepare } from '../src/prepare.ts';
import type { Prepared } from '../src/prepared.ts';

export function prepareArguments(args: readonly string[]): Promise<Prepared> {
  return prepare(trainOptionsOf(parseOptions(commands.coordinator.options, args)), nodePlatform);
}
