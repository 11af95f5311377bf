/** Arbitrary valid messages that a viewer sends to the server, one generator per entry of the dashboard's table. */
import fc from 'fast-check';
import { finite, text, whole } from './arbitraries.ts';
import { task } from './data-setup-arbitraries.ts';

export const viewerArbitraries = {
  hello: fc.record(
    { type: fc.constant('hello' as const), token: text(256), adminToken: text(256) },
    { requiredKeys: ['type'], noNullPrototype: true },
  ),
  wantWeights: fc.record({ type: fc.constant('wantWeights' as const) }, { noNullPrototype: true }),
  unlock: fc.record({ type: fc.constant('unlock' as const), token: text(256) }, { noNullPrototype: true }),
  admin: fc.record(
    {
      type: fc.constant('admin' as const),
      token: text(256),
      action: fc.constantFrom('start' as const, 'pause' as const, 'resume' as const, 'stop' as const, 'save' as const),
    },
    { requiredKeys: ['type', 'action'], noNullPrototype: true },
  ),
  readData: fc.record(
    { type: fc.constant('readData' as const), token: text(256), label: whole(0), task },
    { requiredKeys: ['type'], noNullPrototype: true },
  ),
  runAgain: fc.record(
    {
      type: fc.constant('runAgain' as const),
      token: text(256),
      seed: finite,
      learningRate: finite,
      optimizer: text(40),
      model: text(40),
      batch: finite,
      epochs: finite,
      schedule: text(40),
    },
    { requiredKeys: ['type'], noNullPrototype: true },
  ),
  injectFault: fc.record(
    {
      type: fc.constant('injectFault' as const),
      token: text(256),
      action: fc.constantFrom('kill' as const, 'freeze' as const, 'slow' as const),
      workerId: text(64),
    },
    { requiredKeys: ['type', 'action', 'workerId'], noNullPrototype: true },
  ),
  renameWorker: fc.record(
    { type: fc.constant('renameWorker' as const), token: text(256), workerId: text(64), name: text(80) },
    { requiredKeys: ['type', 'workerId', 'name'], noNullPrototype: true },
  ),
  removeWorker: fc.record(
    { type: fc.constant('removeWorker' as const), token: text(256), workerId: text(64) },
    { requiredKeys: ['type', 'workerId'], noNullPrototype: true },
  ),
};
