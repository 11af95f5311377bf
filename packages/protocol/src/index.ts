/** The wire between workers and the coordinator: messages, codec, transports. */
export { bytesOf, floatsFrom, wordsFrom } from './bytes.ts';
export { type Checksum, openChecksum } from './checksum.ts';
export { decode, encode } from './codec.ts';
export { decodeWatch, encodeWatch } from './dashboard/codec.ts';
export {
  type AdminAction,
  type FaultAction,
  type SpanKind,
  type WatchMessage,
  type WatchMessageFrom,
  type WatchMessageOf,
  type WatchMessageType,
  type WatchSide,
  type WorkerHealth,
  watchMessages,
  watchPath,
  watchSubprotocol,
} from './dashboard/messages.ts';
export { enclosed } from './fields.ts';
export {
  type CoordinatorMessage,
  type Message,
  type MessageFrom,
  type MessageOf,
  type MessageType,
  maySend,
  messages,
  protocolVersion,
  type RefusalCode,
  type Side,
  subprotocol,
  type TaskErrorCode,
  type WorkerKind,
  type WorkerMessage,
} from './messages.ts';
export { ProtocolError, type RefusalCloseCode } from './protocol-error.ts';
export { sameSecret } from './secret.ts';
export { maxMessageLength, toMessageText } from './text.ts';
export type {
  Closing,
  CoordinatorTransport,
  Transport,
  TransportListener,
  WorkerTransport,
} from './transport.ts';
export {
  type MemoryPair,
  type MemoryPairOptions,
  memoryPair,
  type Parcel,
  type Schedule,
} from './transports/memory.ts';
export {
  type WebSocketLike,
  type WebSocketTransport,
  type WebSocketTransportOptions,
  webSocketTransport,
} from './transports/web-socket.ts';
export {
  applyChanges,
  type LossyEncoding,
  lossyEncodings,
  packChanges,
  packLossy,
  packSparse,
  unpackVector,
  type VectorEncoding,
  vectorFault,
} from './vector-codec.ts';
