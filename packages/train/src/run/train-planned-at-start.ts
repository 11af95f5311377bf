/** A run whose batch is made for the workers that are there when it is started. */
import type { CoordinatorState } from '@lockstep/training';
import type { TrainOptions } from '../options.ts';
import { prepare } from '../prepare.ts';
import type { Prepared } from '../prepared.ts';
import { runTraining, type Trained, type TrainingJob } from './run-training.ts';

export interface PlannedTrained {
  readonly trained: Trained;
  /** Of the run that was trained. */
  readonly prepared: Prepared;
  /** As they were asked for, with the number of workers. */
  readonly options: TrainOptions;
}

/**
 * Gathers workers in a run that takes no step; when that is started, trains another one on its server, to which they come.
 * So nothing that depends on the batch is changed in a run. One that is stopped before its start is the run itself.
 */
export async function trainPlannedAtStart(job: TrainingJob, options: TrainOptions): Promise<PlannedTrained> {
  const { prepared, platform } = job;
  let workers = 0;
  const gathered = await runTraining({
    ...job,
    prepared: asGathering(prepared),
    onStart(run, recorder) {
      workers = readyWorkers(run.state);
      recorder.stop('planned');
    },
  });
  const closeAll = async (): Promise<void> => {
    await gathered.close();
    await gathered.closeServer();
  };
  const stay = prepared.listen?.stay;
  const { ending } = gathered;
  if (ending?.type !== 'stopped' || ending.code !== 'planned') {
    if (!stay) await closeAll();
    return { trained: gathered, prepared, options };
  }
  try {
    const there = { ...platform, host: gathered.host };
    const { train, test, reading, listen: _, ...rest } = prepared;
    const most = Math.floor(train.count / (options.microbatch ?? 1));
    const counted = { ...options, expect: Math.max(1, Math.min(workers, most)) };
    const next = await prepare({ ...counted, data: { train, test, reading } }, there);
    const planned: Prepared = { ...next, token: rest.token, ...(next.listen && { listen: { ...next.listen, stay } }) };
    const trained = await runTraining({
      ...job,
      prepared: planned,
      platform: there,
      startWorkers: counted.expect,
      onControl(control) {
        job.onControl(control);
        // Its viewers and workers go to the run that has begun.
        void gathered.close();
      },
    });
    return { trained: { ...trained, closeServer: gathered.closeServer }, prepared: planned, options: counted };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** It stays for the run that follows, and writes nothing. */
function asGathering({ listen, ...prepared }: Prepared): Prepared {
  return { ...prepared, checkpoint: undefined, listen: listen && { ...listen, waitForStart: true, stay: true } };
}

function readyWorkers({ connections }: CoordinatorState): number {
  return [...connections.values()].filter(({ phase }) => phase === 'ready').length;
}
