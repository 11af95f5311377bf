/** A worker in the coordinator's own process: the same rules and the same sums, with nothing that travels. */

import {
  type Compute,
  createYield,
  type InlineCompute,
  InlineCopy,
  InlineGradient,
  InlineWorker,
} from '@lockstep/training';
import { systemClock } from '@lockstep/worker';
import type { Platform } from '../platform.ts';
import type { Prepared } from '../prepared.ts';
import type { CreatedRun } from './create-run.ts';
import { idlePool, type WorkerPool } from './worker-pool.ts';

/** The only worker of its run. @param compute what computes; the parameter server's own backend where left out */
export async function startInlineWorker(
  created: CreatedRun,
  prepared: Prepared,
  platform: Platform,
  compute?: Compute,
): Promise<WorkerPool> {
  const { run } = created;
  run.connectInline(
    new InlineWorker({
      compute: compute ? await copying(created, prepared, platform, compute) : inPlace(created, prepared),
      name: 'this process',
      // Signals and the terminal have their turn.
      clock: systemClock,
    }),
  );
  return { ...idlePool, stop: async () => compute?.close() };
}

/** One that takes part beside those that join over the network. */
export function startColocatedWorker(created: CreatedRun, prepared: Prepared): void {
  const { run } = created;
  const yieldToOthers = createYield(() => run.unsent, systemClock);
  const compute = inPlace(created, prepared, yieldToOthers);
  run.connectInline(new InlineWorker({ compute, name: 'coordinator', clock: systemClock, hasOthers: true }));
}

function inPlace(
  { parameterServer, samples, reference }: CreatedRun,
  prepared: Prepared,
  yieldToOthers?: () => Promise<void>,
): InlineCompute {
  const { model, plan, train, config } = prepared;
  const { seed } = config;
  const clock = systemClock;
  return new InlineGradient({
    parameterServer,
    model,
    plan,
    dataset: train,
    samples,
    seed,
    clock,
    yieldToOthers,
    numerics: reference,
  });
}

async function copying(
  created: CreatedRun,
  { model, plan, config, train }: Prepared,
  { sha256 }: Platform,
  compute: Compute,
): Promise<InlineCompute> {
  const { parameterServer, samples, numericsCheck, reference } = created;
  const { microbatchSize, innerSteps } = plan;
  const setup = { model, microbatchSize, targetType: train.targets.type, innerSteps };
  // Whether it can compute at all shows here.
  await compute.open(setup);
  const common = { compute, setup, parameterServer, plan, samples, seed: config.seed };
  return new InlineCopy({ ...common, numericsCheck, referenceGradient: reference.gradient, hash: sha256 });
}
