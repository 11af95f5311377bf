/** The weights messages of a step: one that holds all, and one of what has changed for those who have the step before. */
import type { MessageOf } from '@lockstep/protocol';
import type { ParameterServer } from '../parameter-server.ts';
import type { ConnectionId } from './state.ts';

export interface WeightsPost {
  /**
   * The message that brings a connection the weights of a step; it is taken to be sent.
   * @param near whether it goes to this process, where packing only costs
   */
  messageFor(connection: ConnectionId, step: number, near: boolean): MessageOf<'weights'>;
  /** What the connection has is gone, or overwritten. */
  forget(connection: ConnectionId): void;
}

export function createWeightsPost(
  parameterServer: Pick<ParameterServer, 'weightBytes' | 'weightChanges'>,
): WeightsPost {
  /** The step whose weights each connection has, of those that are far. */
  const steps = new Map<ConnectionId, number>();
  // One message for everybody who gets the same: the codec packs it once.
  let all: MessageOf<'weights'> | undefined;
  let changed: MessageOf<'weights'> | undefined;

  const write = (step: number): MessageOf<'weights'> => {
    const since = all?.step;
    const somebodyHasThem = since !== undefined && [...steps.values()].includes(since);
    const { bytes, changes } = somebodyHasThem
      ? parameterServer.weightChanges()
      : { bytes: parameterServer.weightBytes(), changes: undefined };
    changed = changes && since !== undefined ? { type: 'weights', step, since, bytes: changes } : undefined;
    all = { type: 'weights', step, bytes };
    return all;
  };

  return {
    messageFor(connection, step, near) {
      const whole = all?.step === step ? all : write(step);
      if (near) return whole;
      const message = changed && steps.get(connection) === changed.since ? changed : whole;
      steps.set(connection, step);
      return message;
    },
    forget(connection) {
      steps.delete(connection);
    },
  };
}
