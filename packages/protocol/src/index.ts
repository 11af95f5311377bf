/** The wire protocol between workers, the coordinator and viewers: messages, codecs, transports. */
export { bytesOf, floatsFrom, floatsOf, halfWordsFrom, wordsFrom } from './bytes.ts';
export { type Checksum, checksumOf, chunkChecksum, gradientChecksum } from './checksum.ts';
export { decode, decodeWatch, encode, encodeWatch, framed } from './codec.ts';
export { copyBytes } from './copy-bytes.ts';
export {
  type AdminAction,
  type FaultAction,
  type SpanKind,
  type ViewerRole,
  type WatchMessageFrom,
  type WatchMessageOf,
  watchPath,
  watchSubprotocol,
} from './dashboard/messages.ts';
export { maxCategories, maxColumns } from './dashboard/parts.ts';
export { enclosed } from './fields.ts';
export { FrameMemory } from './frame-memory.ts';
export {
  type CoordinatorMessage,
  type Message,
  type MessageOf,
  protocolVersion,
  type Side,
  subprotocol,
  type TaskErrorCode,
  type WorkerKind,
  type WorkerMessage,
} from './messages.ts';
export { ProtocolError } from './protocol-error.ts';
export { sameSecret } from './secret.ts';
export { isPrintableLine, toMessageText } from './text.ts';
export type {
  Closing,
  CoordinatorTransport,
  Transport,
  TransportListener,
  VectorStream,
  WorkerTransport,
} from './transport.ts';
export { type MemoryPair, memoryPair } from './transports/memory.ts';
export { type WebSocketLike, webSocketTransport } from './transports/web-socket.ts';
export { decodeVector, encodeHalves, encodeSparse, vectorFault } from './vector-codec.ts';
