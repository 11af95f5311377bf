/** What a relay, which is a worker to the coordinator above it, shares with workers. */
export { type Connector, openConnector } from './addresses.ts';
export { pinnedCertificate } from './connection.ts';
export { endOf, workerEvents } from './join.ts';
export type { JoinContext } from './joined-worker.ts';
