/** Parts shared with relays: a relay is a worker to the coordinator above it. */
export { openAddressBook, pinnedCertificate } from './addresses.ts';
export { FrameMemory, frameMemoryHeader } from './frame-memory.ts';
export { endOf, workerEvents } from './join.ts';
export type { JoinContext } from './joined-worker.ts';
export { Membership, type MembershipEnd, type MembershipEvent, reconnectDelayMs } from './membership.ts';
export { Session, type WorkerStatus } from './session.ts';
