/** The server of a run: addresses and secrets, HTTP, sockets, the dashboard's feed, uploads, local workers. */
export { clientOf, Guesses, newTurnedAwayCounts, relayHeaderNames, relayHeaders } from './limiter.ts';
export { LocalWorkers } from './local-workers.ts';
export type { OnRunAgain } from './owner.ts';
export { type Answer, createPages, pathOf, sendText } from './pages.ts';
export { bareHost, isJoinCode, isLoopback, localAddress, newJoinCode, openTls } from './secrets.ts';
export { listeningEvent, type OwnServerOptions, openServer, portOf, rejectUpgrade } from './server.ts';
export { Site } from './site.ts';
export { createSockets, type Door, helloSizes, runSizes } from './sockets.ts';
export type { UploadedData } from './upload.ts';
