/** The wire protocol between workers, the coordinator and viewers: messages, codecs, transports. */
export { bytesOf, copyBytes, floatsFrom, floatsOf, halfWordsFrom, wordsFrom } from './bytes.ts';
export { type Checksum, checksumOf, chunkChecksum, gradientChecksum } from './checksum.ts';
export type { Clock } from './clock.ts';
export { decode, decodeWatch, encode, encodeWatch, FrameMemory, framed, ProtocolError } from './codec.ts';
export {
  type AdminAction,
  type FaultAction,
  type SpanKind,
  type ViewerRole,
  type WatchMessageFrom,
  type WatchMessageOf,
  watchPath,
  watchSubprotocol,
} from './dashboard.ts';
export { maxCategories, maxColumns } from './dashboard-parts.ts';
export { enclosed } from './fields.ts';
export { type MemoryPair, memoryPair } from './memory-pair.ts';
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
export { isPrintableLine, sameSecret, toMessageText } from './text.ts';
export {
  type Closing,
  type CoordinatorTransport,
  Inbox,
  PacedVectors,
  pacedBytes,
  type Transport,
  type TransportListener,
  type VectorStream,
  type WorkerTransport,
} from './transport.ts';
export { decodeVector, encodeHalves, encodeSparse, vectorFault } from './vector-codec.ts';
export {
  announced,
  type BroadcastOptions,
  type FloatChunk,
  FramePool,
  floatChunkFault,
  type GradientParts,
  gradientMessages,
  type OutgoingVector,
  type VectorArrival,
  VectorAssembly,
  VectorBroadcast,
  VectorReceiver,
  type VectorSink,
  vectorMessages,
} from './vectors.ts';
export { type WebSocketLike, webSocketTransport } from './web-socket.ts';
