/** What viewers may do to a run: who holds the admin token steers it; everybody else is told why not. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { AdminAction, FaultAction } from '@lockstep/protocol';
import type { CoordinatorState, Run, RunOutcome } from '@lockstep/training';

export interface ActionsOptions {
  readonly run: Run;
  readonly adminToken: string;
  /** Writes the model as it is now and returns a sentence that says where to. */
  readonly save: () => Promise<string>;
  /** Tells everybody. */
  readonly say: (message: string) => void;
}

/** Why an action was refused; undefined where it was done. */
export type ActionResult = { readonly message: string; readonly badToken: boolean } | undefined;

export interface Actions {
  admin(action: AdminAction, token: string | undefined): Promise<ActionResult>;
  injectFault(action: FaultAction, workerId: string, token: string | undefined): ActionResult;
}

const ownersStop = 'stopped from the dashboard';

/** Whether a run ended before its last step because its owner wanted it to, which is no failure. */
export function isOwnersStop(outcome: RunOutcome): boolean {
  return outcome.type === 'failed' && outcome.message === ownersStop;
}

/** A frozen worker comes back before it would be taken for dead. */
const faultDurationMs: Readonly<Record<FaultAction, number>> = { kill: 0, freeze: 8_000, slow: 10_000 };

export function createActions({ run, adminToken, save, say }: ActionsOptions): Actions {
  const refusalOf = (token: string | undefined): ActionResult => {
    if (token !== undefined && isSame(token, adminToken)) return undefined;
    const message =
      token === undefined
        ? 'steering needs the admin token: open the dashboard address that the coordinator printed'
        : 'this is not the admin token of this run: open the dashboard address that the coordinator printed';
    return { message, badToken: true };
  };
  let isSaving = false;

  return {
    async admin(action, token) {
      const refusal = refusalOf(token);
      if (refusal) return refusal;
      if (action === 'save') {
        if (isSaving) return refused('the model is being saved already');
        isSaving = true;
        try {
          say(await save());
          return undefined;
        } catch (error) {
          return refused(error instanceof Error ? error.message : String(error));
        } finally {
          isSaving = false;
        }
      }
      if (hasEnded(run.state)) return refused('the run has ended');
      if (action === 'stop') run.stop(ownersStop);
      else run.control(action);
      return undefined;
    },
    injectFault(action, workerId, token) {
      const refusal = refusalOf(token);
      if (refusal) return refusal;
      if (run.state.setup.faultInjection !== true) return refused('this run was not started with --chaos');
      if (hasEnded(run.state)) return refused('the run has ended');
      const isHere = [...run.state.connections.values()].some((connection) => connection.workerId === workerId);
      if (!isHere) return refused(`there is no worker ${workerId} here`);
      run.injectFault(workerId, action, faultDurationMs[action]);
      return undefined;
    },
  };
}

const refused = (message: string): ActionResult => ({ message, badToken: false });

const hasEnded = ({ phase }: CoordinatorState): boolean => phase === 'finished' || phase === 'failed';

/** Takes the same time wherever two texts differ. */
function isSame(a: string, b: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}
