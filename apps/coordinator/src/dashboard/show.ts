/** Makes the dashboard of a run: what viewers are told of it, and what steering does. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createConfusionEvaluator, parameterCount, writeModelFile } from '@lockstep/nn';
import { bytesOf, type WatchMessageOf } from '@lockstep/protocol';
import type { HostBackend } from '@lockstep/tensor';
import { systemClock } from '@lockstep/train';
import type { ParameterServer, Run } from '@lockstep/training';
import { sha256 } from '../assemble.ts';
import type { Prepared } from '../prepare.ts';
import { saveFile } from '../save.ts';
import { createActions } from './actions.ts';
import { createDashboard, type Dashboard } from './dashboard.ts';

export interface ShowOptions {
  readonly version: string;
  readonly run: Run;
  readonly parameterServer: ParameterServer;
  readonly backend: HostBackend;
  readonly prepared: Prepared;
  readonly joinAddresses: readonly string[];
  readonly adminToken: string;
  /** Where `save` writes; without it, to a file that is named after the model and the step, in the working directory. */
  readonly saveTo: string | undefined;
  readonly onError: (error: unknown) => void;
}

const topErrorCount = 16;

export function showRun(options: ShowOptions): Dashboard {
  const { run, parameterServer, version, backend, prepared } = options;
  const { model, test } = prepared;
  const { rows, columns, classes, images } = test;
  const size = rows * columns;
  let confusionEvaluator: ReturnType<typeof createConfusionEvaluator> | undefined;

  const save = async (): Promise<string> => {
    const weights = parameterServer.weights();
    const step = run.state.current.step;
    const file = options.saveTo ?? `${model.name.replace(/[^a-z0-9-]+/gi, '-')}-step-${step}.safetensors`;
    const metadata = { lockstep: version, steps: `${step}`, weightsSha256: sha256(bytesOf(weights)) };
    await saveFile(file, writeModelFile(model, weights, metadata));
    const folder = options.saveTo === undefined ? `, in the folder ${process.cwd()}` : '';
    return `model after step ${step} saved to ${file}${folder}`;
  };

  return createDashboard({
    run,
    about: aboutRun(options),
    actions: (say) => createActions({ run, adminToken: options.adminToken, save, say }),
    weights: () => parameterServer.weights(),
    hash: sha256,
    async evaluate(epoch, weights) {
      confusionEvaluator ??= createConfusionEvaluator(backend, model, test, topErrorCount);
      const { counts, topErrors } = await confusionEvaluator.evaluate(weights, () => nextTurn());
      return {
        type: 'evaluation',
        epoch,
        rows,
        columns,
        classes,
        confusion: bytesOf(counts),
        topErrors: topErrors.map(({ index, ...error }) => ({
          ...error,
          image: images.subarray(index * size, (index + 1) * size),
        })),
      };
    },
    nowMs: systemClock.nowMs,
    onError: options.onError,
  });
}

function aboutRun({ version, run, prepared, joinAddresses }: ShowOptions): WatchMessageOf<'run'> {
  const { model, plan, config, train, test, token } = prepared;
  const { seed, epochs, optimizer, workers } = config;
  return {
    type: 'run',
    version,
    model,
    parameters: parameterCount(model),
    config: {
      seed,
      batch: plan.batch,
      microbatchSize: plan.microbatchSize,
      epochs,
      steps: plan.steps,
      optimizer,
      workers: workers === 'single' ? 0 : workers,
    },
    steps: plan.steps,
    stepsPerEpoch: plan.stepsPerEpoch,
    microbatches: plan.microbatches,
    samples: train.count,
    testSamples: test.count,
    rows: test.rows,
    columns: test.columns,
    classes: test.classes,
    joinAddresses: [...joinAddresses],
    tokenNeeded: token !== undefined,
    faultInjection: run.state.setup.faultInjection === true,
  };
}
