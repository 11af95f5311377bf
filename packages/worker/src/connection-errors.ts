/** Why a coordinator cannot be reached, as a phrase for people. */
export function connectionFault(error: Error & { readonly code?: string }): string {
  switch (error.code) {
    case 'ECONNREFUSED':
      return 'nothing answers there (connection refused)';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'no machine of that name is known';
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return 'that machine cannot be reached';
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return 'its certificate is not from a trusted authority: copy the whole address that the coordinator printed, with the fingerprint, or name the file of your own authority in NODE_EXTRA_CA_CERTS';
    case 'HPE_INVALID_CONSTANT':
    case 'ECONNRESET':
      return 'it closed the connection before a WebSocket was open: where the coordinator listens with TLS, the address begins with wss://';
    default:
      if (/^(EPROTO|ERR_SSL_)/.test(error.code ?? '')) {
        return 'it does not speak TLS: the address of a coordinator without TLS begins with ws://';
      }
      return /subprotocol/i.test(error.message)
        ? 'a WebSocket server answers there, but it does not speak lockstep.v1'
        : error.message.replace(/\n[\s\S]*/, '');
  }
}
