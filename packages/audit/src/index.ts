/** The transcript of a run, and the audit that computes its steps again and names the first that is wrong. */
export { type AuditOptions, type AuditResult, audit, type StoredState } from './audit.ts';
export type { Finding, WrongShard } from './findings.ts';
export { type LedSteps, maxTranscriptBytes, TranscriptError } from './read-transcript.ts';
export type { ReplayState } from './replay.ts';
export { openTranscript, type Transcriber } from './transcriber.ts';
