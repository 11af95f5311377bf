/** What a run is, in one line for people. */
import { parameterCount } from '@lockstep/nn';
import { describeRound } from '../diloco.ts';
import { describeOptimizer } from '../optimizer.ts';
import type { Prepared } from '../prepared.ts';
import { samplesWord } from '../samples-word.ts';
import { thousands } from '../thousands.ts';

export function runText({ model, plan, planAtStart, config, optimizer }: Prepared): string {
  const from = config.initSha256 === undefined ? '' : `, from weights ${config.initSha256.slice(0, 16)}…`;
  const what = `${model.name}, ${thousands(parameterCount(model))} parameters${from}`;
  const { diloco } = config;
  if (planAtStart) {
    return `To train ${what} on ${thousands(plan.samples)} ${samplesWord(config.data)}: the batch is made for the workers that are there at the start`;
  }
  const batch = diloco ? describeRound(diloco) : `batch ${plan.batch}`;
  const how = `${batch}, ${describeOptimizer(optimizer)}`;
  const epochs = config.epochs === 1 ? '1 epoch' : `${config.epochs} epochs`;
  return `Training ${what}: ${epochs} of ${thousands(plan.samples)} ${samplesWord(config.data)}, ${how}`;
}
