/** What a relay, which is a worker to the coordinator above it, shares with workers. */
export { type Connector, openConnector } from './connector.ts';
export type { Participation } from './joined-worker.ts';
export { endOf, workerEvents } from './participate.ts';
export { pinnedCertificate } from './pinned-certificate.ts';
